//! `betrace replay BUNDLE`: a fault that a host has kept, once more.

use std::path::Path;

use super::ReplayArgs;
use crate::cli::failure::{Failure, Outcome, print};
use crate::engine::runtime::WASMTIME;
use crate::replay::bundle::again::{Again, again};
use crate::replay::bundle::{Bundle, format};
use crate::signal::stamp::rfc3339;
use crate::sinks::text::counted;

/// The bundle among the inputs; none where there is none.
pub(super) fn among(args: &ReplayArgs) -> Result<Option<&Path>, Failure> {
    let is_bundle = |path: &&std::path::PathBuf| format::is_bundle(path);
    let Some(bundle) = args.inputs.iter().find(is_bundle) else {
        return Ok(None);
    };
    if args.inputs.len() > 1 || !args.rules.is_empty() || args.explain.explain {
        let what = format!(
            "{} is a bundle, which brings its own rule and traces",
            bundle.display()
        );
        return Err(Failure::new(what).help("name it alone: `betrace replay BUNDLE`"));
    }
    Ok(Some(bundle))
}

/// Repeats the call of a bundle. The same kind of fault is no news; anything else is.
pub(super) fn run(path: &Path) -> Result<Outcome, Failure> {
    let bundle = format::read(path).map_err(|error| Failure::of(&error))?;
    let again = again(&bundle).map_err(|error| Failure::of(&error))?;
    let is_same = again.fault.as_ref().map(|fault| fault.kind) == Some(bundle.fault.kind);
    print(&report(&bundle, &again, is_same))?;
    Ok(match is_same {
        true => Outcome::Quiet,
        false => Outcome::Found,
    })
}

fn report(bundle: &Bundle, again: &Again, is_same: bool) -> String {
    let mut out = format!(
        "rule      {} {}\nfrom      {}, generation {}, {}\nwritten   by betrace {} with wasmtime {}\n",
        bundle.rule,
        again.version,
        bundle.origin,
        bundle.generation,
        rfc3339(bundle.faulted_at),
        bundle.betrace,
        bundle.wasmtime,
    );
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), WASMTIME);
    if (ours, theirs) != (bundle.betrace.as_str(), bundle.wasmtime.as_str()) {
        out.push_str(&format!(
            "here      betrace {ours} with wasmtime {theirs}\n"
        ));
    }
    let traces = counted(bundle.traces.len() as u64, "trace");
    let then = match bundle.call {
        0 => "no instance could be made".to_owned(),
        call => format!("call {call} of its instance"),
    };
    out.push_str(&format!("input     {traces}, {then}\n"));
    out.push_str(&format!("recorded  {}\n", bundle.fault));
    let now = match &again.fault {
        Some(fault) => fault.to_string(),
        None => format!("no fault in {}", counted(again.calls, "call")),
    };
    out.push_str(&format!("now       {now}\n"));
    if again.too_large > 0 {
        let traces = counted(again.too_large, "trace");
        out.push_str(&format!("          {traces} too large for the rule\n"));
    }
    out.push_str(match (is_same, &again.fault) {
        (true, _) => "the same kind of fault\n",
        (false, Some(_)) => "another kind of fault\n",
        (false, None) => {
            "the fault did not come again: it may depend on what the rule saw in calls before, or on the time it had\n"
        }
    });
    out
}
