//! All tools, one file for each group of them, in the order in which they are listed.

mod build;
mod compact;
pub(crate) mod containers;
mod images;
mod networks;
mod plans;
mod system;
mod volumes;

#[cfg(test)]
mod tests;

use crate::ctx::Ctx;
use server_kit::Table;

/// One row of the table of tools.
pub(crate) type Tool = server_kit::Tool<Ctx>;

/// Every tool that can be called, in the order of the list.
pub(crate) static TABLE: Table<Ctx> = Table(&[
    containers::TOOLS,
    images::TOOLS,
    build::TOOLS,
    networks::TOOLS,
    volumes::TOOLS,
    system::TOOLS,
    plans::TOOLS,
    compact::TOOLS,
]);
