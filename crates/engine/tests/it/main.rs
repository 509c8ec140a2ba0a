//! The engine crate against real engines, and against doubles that do what no real engine does on demand.

mod here;

mod build_contexts;
mod containers;
mod contexts;
mod copies;
mod exec;
mod faults;
mod files;
mod gate;
mod images;
mod links;
mod logins;
mod negotiation;
mod networks;
mod output;
mod secrets;
mod system;
mod tls;
mod volumes;
