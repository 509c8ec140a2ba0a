//! The Docker server as a client sees it, on the real engine: JSON-RPC in, text out.

mod here;
mod hosts;

mod builds;
mod cancelling;
mod compact;
mod containers;
mod create;
mod errors;
mod exec;
mod files;
mod gpus;
mod images;
mod live;
mod logs;
mod networks;
mod plans;
mod protocol;
mod recreate;
mod registries;
mod system;
mod volumes;
