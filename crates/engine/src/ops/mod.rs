//! Typed operations, one module for each kind of object. All take validated names and end in
//! [`Engine::send`](crate::Engine::send).

pub mod containers;
pub mod exec;
pub mod files;
pub mod images;
pub mod networks;
pub mod system;
pub mod volumes;
