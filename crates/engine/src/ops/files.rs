//! Operations on files.
