//! Which versions of Dockmaster work together: those of one major number whose minor numbers differ by one at most.

use anyhow::{Result, bail};

/// This one's.
pub(crate) const OWN: &str = env!("CARGO_PKG_VERSION");

/// Whether a bridge of that version is spoken with; an error says what to do.
pub(crate) fn fit(host: &str, theirs: &str) -> Result<()> {
    fit_with(host, theirs, OWN)
}

fn fit_with(host: &str, theirs: &str, ours: &str) -> Result<()> {
    let (Some(there), Some(here)) = (numbers(theirs), numbers(ours)) else {
        let shown = base::text::clean(base::text::cut(theirs, 40)).replace('\n', " ");
        bail!("the bridge on {host} is of an unknown version ({shown:?}): `dockmaster host upgrade {host}`");
    };
    if there.0 == here.0 && there.1.abs_diff(here.1) <= 1 {
        return Ok(());
    }
    if there < here {
        bail!(
            "the bridge on {host} is Dockmaster {theirs}, and this is {ours}, which is too far apart: \
             `dockmaster host upgrade {host}`"
        );
    }
    bail!(
        "the bridge on {host} is Dockmaster {theirs}, and this is {ours}, which is too far apart: upgrade this Dockmaster"
    );
}

/// Major and minor.
fn numbers(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_work_together() {
        for (theirs, wanted) in [
            ("1.4.0", None),
            ("1.3.9", None),
            ("1.5.0-rc.1", None),
            ("1.2.0", Some("`dockmaster host upgrade prod`")),
            ("0.4.0", Some("`dockmaster host upgrade prod`")),
            ("1.6.0", Some("upgrade this Dockmaster")),
            ("2.4.0", Some("upgrade this Dockmaster")),
            ("", Some("unknown version (\"\")")),
            ("x.y", Some("`dockmaster host upgrade prod`")),
        ] {
            let said = fit_with("prod", theirs, "1.4.2")
                .err()
                .map(|error| error.to_string());
            match (said, wanted) {
                (None, None) => {}
                (Some(said), Some(part)) => assert!(said.contains(part), "{theirs}: {said}"),
                (said, wanted) => unreachable!("{theirs}: {said:?} instead of {wanted:?}"),
            }
        }
    }
}
