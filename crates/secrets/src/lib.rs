//! Where secret values come from; they leave this room only as redacting types.
//!
//! Deliberately absent: which server needs which secret (`catalog`), and how a value gets into a container
//! (`instances`).
