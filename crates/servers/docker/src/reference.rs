//! The reference of all tools, as Markdown.

use crate::tools::TABLE;
use server_kit::Toolset;
use server_kit::reference::entry;
use std::fmt::Write as _;

/// Every tool with its parameters, effect and other names: the content of `docs/tools.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Tools of the Docker server\n\n\
         Made by `dockmaster` from its own table of tools; do not edit.\n\n\
         Every tool can be called whatever toolset is listed. What a parameter is usually called elsewhere\n\
         (`container_id`, `working_dir`, `environment` …) is understood too; anything else is an error.\n",
    );
    for (toolset, about) in [
        (Toolset::Standard, "Listed by `standard` and `full`."),
        (Toolset::Compact, "Listed by `compact`."),
        (Toolset::Full, "Listed by `full` only."),
    ] {
        _ = write!(text, "\n## {}\n\n{about}\n", title(toolset));
        for tool in TABLE.all().filter(|tool| tool.spec.toolset == toolset) {
            entry(&mut text, tool);
        }
    }
    text
}

fn title(toolset: Toolset) -> &'static str {
    match toolset {
        Toolset::Standard => "Standard",
        Toolset::Compact => "Compact",
        Toolset::Full => "Full",
    }
}
