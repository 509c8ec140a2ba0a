//! The engine crate against real engines, and against doubles that do what no real engine does on demand.
