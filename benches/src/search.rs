//! Searching in many files: the files server beside ripgrep.

use crate::Place;
use crate::figures::Series;
use crate::front::Home;
use crate::page::Page;
use crate::stdio::Server;
use anyhow::{Result, ensure};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDERS: usize = 1_000;
const FILES: usize = 100;
/// One file in so many holds what is looked for.
const RARE: usize = 1_000;
const TIMES: usize = 15;
const PATTERN: &str = r"needle-\d+";

pub(crate) fn measure(page: &mut Page, place: &Place) -> Result<()> {
    let folder = tempfile::tempdir()?;
    eprintln!("{} files, to search in them", FOLDERS * FILES);
    fill(folder.path())?;
    let root = json!(folder.path().display().to_string());
    let home = Home::new(&format!(
        "[docker]\nenabled = false\n\n[files]\nenabled = true\nroots = [{{ path = {root} }}]\n"
    ))?;
    let command = [place.dockmaster, "gateway", "run"].map(str::to_owned);
    let mut server = Server::start(&command, &home.environment())?;
    let arguments = json!({ "path": root, "pattern": PATTERN });
    let (mut ours, mut theirs) = (Series::default(), Series::default());
    let found = FOLDERS * FILES / RARE;
    let text = server.call("search_content", &arguments)?.text();
    ensure!(
        text.matches("needle-").count() == found,
        "the search found something else: {text}"
    );
    let has_ripgrep = rg(folder.path()).is_ok();
    for _ in 0..TIMES {
        ours.time(|| server.call("search_content", &arguments))?;
        if has_ripgrep {
            theirs.time(|| rg(folder.path()))?;
        }
    }
    page.section(
        "Searching 100 000 files",
        &format!(
            "{FOLDERS} folders of {FILES} files of some 500 bytes, in the page cache; `{PATTERN}` is in {found} of them. \
             `search_content` of the files server, and `rg -n` as a process of its own, in turns."
        ),
        "| what | times | ms |",
    );
    page.row(&["dockmaster", &TIMES.to_string(), &ours.cell()]);
    if has_ripgrep {
        page.row(&["ripgrep", &TIMES.to_string(), &theirs.cell()]);
        let ratio = ours.median() / theirs.median();
        page.target(
            "content search over 100 000 files, over ripgrep's time",
            "≤ 1.5 ×",
            &format!("{ratio:.2} ×"),
            ratio <= 1.5,
        );
    }
    Ok(())
}

fn rg(folder: &Path) -> Result<()> {
    let status = Command::new("rg")
        .args(["-n", PATTERN])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "rg ended with {status}");
    Ok(())
}

fn fill(folder: &Path) -> Result<()> {
    let plain = "Some words that nobody looks for, on a line of a usual length.\n".repeat(8);
    for number in 0..FOLDERS {
        let folder = folder.join(format!("folder-{number}"));
        fs_err::create_dir(&folder)?;
        for file in 0..FILES {
            let number = number * FILES + file;
            let path = folder.join(format!("file-{file}.txt"));
            if number.is_multiple_of(RARE) {
                fs_err::write(path, format!("{plain}needle-{number}\n"))?;
            } else {
                fs_err::write(path, &plain)?;
            }
        }
    }
    Ok(())
}
