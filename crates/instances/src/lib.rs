//! Running copies of servers in containers: made from a plan, locked down, reached over the engine's attach stream,
//! found again after a crash, and removed by id.
//!
//! Deliberately absent: when a copy is started or stopped and who may share it (`gateway`), what is planned
//! (`catalog`), and the protocol that goes over the stream.
