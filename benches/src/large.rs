//! A megabyte in one result, with everything that the gateway does to a result.

use crate::Place;
use crate::echo::{Era, LARGE, Large};
use crate::figures::{Series, thousands};
use crate::front::{Front, Home, Way, echo};
use crate::page::Page;
use crate::process::{memory, own_cpu};
use crate::relay::{config, per_call, wait_for_tools};
use anyhow::Result;
use serde_json::json;

const CALLS: usize = 60;

pub(crate) fn measure(page: &mut Page, place: &Place) -> Result<()> {
    page.section(
        "A megabyte in one result",
        &format!(
            "The trivial server gives 1 MB, {CALLS} times over stdio: as text of plain ASCII, as text full of escapes, and \
             as structured content, which is not cut. Screening is on, as always; text beyond the budget is kept to be \
             read as a resource. Memory is the gateway's at its highest."
        ),
        "| what | the server's answer, bytes | the client's, bytes | directly, ms | through the gateway, ms | CPU of \
         the gateway a call, ms | memory, MiB |",
    );
    let mut worst: f64 = 0.0;
    for kind in Large::ALL {
        eprintln!("a megabyte of {}", kind.name());
        let command = echo(&place.this, Era::Legacy);
        let home = Home::new(&config(&format!("command = {command:?}")))?;
        let mut through = Front::gateway(place.dockmaster, &home, Way::Stdio, Era::Legacy)?;
        wait_for_tools(&mut through.client, 1)?;
        let mut direct = Front::stdio(&command, &[], Era::Legacy)?;
        let request = |front: &Front| {
            let arguments = json!({ "kind": kind.name() });
            front.client.call(LARGE, &arguments, "\"content\"")
        };
        let (near, far) = (request(&direct), request(&through));
        let (mut directly, mut relayed) = (Series::default(), Series::default());
        direct.client.once(&near)?;
        through.client.once(&far)?;
        let before = own_cpu(through.process.pid());
        for _ in 0..CALLS {
            directly.time(|| direct.client.once(&near))?;
            relayed.time(|| through.client.once(&far))?;
        }
        let cost = per_call(before, through.process.pid(), CALLS);
        worst = worst.max(cost);
        page.row(&[
            kind.name(),
            &thousands(direct.client.received()),
            &thousands(through.client.received()),
            &directly.cell(),
            &relayed.cell(),
            &format!("{cost:.2}"),
            &format!("{:.1}", memory(through.process.pid()).1),
        ]);
    }
    let here = format!("{worst:.2} ms at worst");
    page.target("CPU for 1 MB relayed, screened", "≤ 5 ms", &here, worst <= 5.0);
    Ok(())
}
