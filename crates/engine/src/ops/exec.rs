//! Operations on exec.
