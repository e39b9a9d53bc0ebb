//! Two tiers of machine code, and the folder that keeps it: what a rule finds is the same whichever code it runs, and nothing is
//! ever run that is not what was written.

mod guests;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use betrace::columns::projection::Intrinsic;
use betrace::engine::code::cache::{Cache, Counts};
use betrace::engine::{CodeSettings, Engine, EngineLimits, Finding, Rule, Worker};
use guests::{Describe, Reads, component, run, set, span};

const MIB: u64 = 1 << 20;

fn limits() -> EngineLimits {
    EngineLimits {
        warm_instances: 8,
        ..EngineLimits::for_workers(1)
    }
}

fn engine(tiers: bool, cache: Option<&Arc<Cache>>) -> Arc<Engine> {
    engine_with(limits(), tiers, cache)
}

fn engine_with(limits: EngineLimits, tiers: bool, cache: Option<&Arc<Cache>>) -> Arc<Engine> {
    let cache = cache.cloned();
    let engine = Engine::with_code(limits, CodeSettings { tiers, cache });
    Arc::new(engine.expect("the limits are valid"))
}

fn cache(folder: &Path) -> Arc<Cache> {
    Arc::new(Cache::open(folder, 64 * MIB).expect("the folder is the test's own"))
}

/// A rule that finds spans of this name.
fn finds(name: &'static str) -> Vec<u8> {
    let describe = Describe {
        id: name,
        columns: &[Reads::Intrinsic(Intrinsic::Name)],
        constants: &[name],
        ..Describe::default()
    };
    component("name", &describe)
}

fn load(engine: &Engine, component: &[u8]) -> Arc<Rule> {
    Arc::new(Rule::load(engine, component, "rule.wasm").expect("it is a rule"))
}

/// What a rule finds in a batch with three spans of the name `pay`.
fn findings(worker: &mut Worker, rule: &Arc<Rule>) -> Vec<Finding> {
    let batch = vec![
        vec![span("pay", "shop"), span("ship", "shop")],
        vec![span("ship", "shop")],
        vec![span("pay", "shop"), span("pay", "bank")],
    ];
    run(worker, &set(std::slice::from_ref(rule)), &batch)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there");
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.expect("one").path()).collect();
    entries.sort();
    entries
}

/// The counts of what was looked for: hits, misses, damaged.
fn looked(counts: Counts) -> (u64, u64, u64) {
    (counts.hits, counts.misses, counts.damaged)
}

#[test]
fn a_rule_runs_at_once_and_goes_on_with_optimised_code() {
    let engine = engine(true, None);
    let rule = load(&engine, &finds("pay"));
    assert!(!rule.is_optimised());
    let mut worker = Worker::new(engine.clone());
    let quick = findings(&mut worker, &rule);
    assert_eq!(quick.len(), 2);
    assert_eq!(findings(&mut worker, &rule), quick);
    assert_eq!(rule.counts().instances, 1, "it stays warm");

    rule.optimise(&engine);
    engine.wait_until_optimised();
    assert!(rule.is_optimised());
    assert_eq!(findings(&mut worker, &rule), quick);
    assert_eq!(
        rule.counts().instances,
        2,
        "the instance of the code before is gone"
    );
    assert_eq!(findings(&mut worker, &rule), quick);
    assert_eq!(rule.counts().instances, 2);
    let counts = engine.optimiser().expect("it has two tiers");
    assert_eq!((counts.waiting, counts.optimised, counts.failed), (0, 1, 0));
}

#[test]
fn what_shares_a_rules_code_is_optimised_once() {
    let engine = engine(true, None);
    let tried = load(&engine, &finds("pay"));
    let active = Arc::new(tried.in_force(None, None));
    tried.optimise(&engine);
    active.optimise(&engine);
    engine.wait_until_optimised();
    assert!(tried.is_optimised() && active.is_optimised());
    let counts = engine.optimiser().expect("it has two tiers");
    assert_eq!(counts.optimised, 1);
}

#[test]
fn a_rule_that_went_meanwhile_is_not_optimised() {
    let engine = engine(true, None);
    let rules: Vec<_> = (0..8).map(|_| load(&engine, &finds("pay"))).collect();
    for rule in &rules {
        rule.optimise(&engine);
    }
    drop(rules);
    let last = load(&engine, &finds("ship"));
    last.optimise(&engine);
    engine.wait_until_optimised();
    assert!(last.is_optimised());
    let counts = engine.optimiser().expect("it has two tiers");
    // Those that the thread had begun with, and the last.
    assert!((1..=9).contains(&counts.optimised));
    assert_eq!(counts.waiting, 0);
}

#[test]
fn the_next_start_compiles_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("made/by/the/host");
    let first = cache(&folder);
    let before = {
        let engine = engine(true, Some(&first));
        let rule = load(&engine, &finds("pay"));
        assert!(!rule.is_optimised(), "there is nothing yet");
        rule.optimise(&engine);
        engine.wait_until_optimised();
        findings(&mut Worker::new(engine), &rule)
    };
    assert_eq!(looked(first.counts()), (0, 1, 0));
    assert_eq!((first.counts().written, first.counts().entries), (1, 1));
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&entries(&folder)[0]), 0o600);

    for tiers in [true, false] {
        let again = cache(&folder);
        let engine = engine(tiers, Some(&again));
        let rule = load(&engine, &finds("pay"));
        assert!(rule.is_optimised());
        assert_eq!(looked(again.counts()), (1, 0, 0));
        assert_eq!(findings(&mut Worker::new(engine.clone()), &rule), before);
        load(&engine, &finds("ship"));
        assert_eq!(
            looked(again.counts()),
            (1, 1, 0),
            "another component is another entry"
        );
    }
}

#[test]
fn code_of_other_settings_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = cache(folder.path());
    load(&engine(false, Some(&kept)), &finds("pay"));
    let larger = EngineLimits {
        memory_bytes: 2 * limits().memory_bytes,
        ..limits()
    };
    let engine = engine_with(larger, false, Some(&kept));
    load(&engine, &finds("pay"));
    assert_eq!(looked(kept.counts()), (0, 2, 0));
    assert_eq!(kept.counts().entries, 2);
}

#[test]
fn a_damaged_entry_is_never_run_and_compiled_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let pay = finds("pay");
    let kept = cache(folder.path());
    let expected = {
        let engine = engine(false, Some(&kept));
        let rule = load(&engine, &pay);
        findings(&mut Worker::new(engine), &rule)
    };
    let path = entries(folder.path()).remove(0);
    let good = fs::read(&path).expect("an entry");
    let mut damages: Vec<(String, Vec<u8>)> = Vec::new();
    let header = 72;
    for at in (0..header)
        .step_by(5)
        .chain((header..good.len()).step_by(499))
    {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        damages.push((format!("byte {at}"), bytes));
    }
    for len in [
        0,
        1,
        8,
        header - 1,
        header,
        header + 1,
        good.len() / 2,
        good.len() - 1,
    ] {
        damages.push((format!("cut at {len}"), good[..len].to_vec()));
    }
    damages.push(("longer".into(), [&good[..], b"\0"].concat()));
    // An entry of another rule, whole, under this one's name.
    load(&engine(false, Some(&kept)), &finds("ship"));
    let other = entries(folder.path());
    let other = other.iter().find(|other| **other != path).expect("two");
    damages.push(("another rule's".into(), fs::read(other).expect("it")));
    fs::remove_file(other).expect("it is there");

    for (what, bytes) in damages {
        fs::write(&path, bytes).expect("it can be written");
        let kept = cache(folder.path());
        let engine = engine(false, Some(&kept));
        let rule = load(&engine, &pay);
        assert_eq!(looked(kept.counts()), (0, 0, 1), "{what}");
        assert_eq!(
            findings(&mut Worker::new(engine), &rule),
            expected,
            "{what}"
        );
        assert_eq!(
            fs::read(&path).expect("written anew").len(),
            good.len(),
            "{what}"
        );
    }
}

#[test]
fn an_entry_that_others_can_write_is_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    load(&engine(false, Some(&cache(folder.path()))), &finds("pay"));
    let path = entries(folder.path()).remove(0);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("own");
    let kept = cache(folder.path());
    load(&engine(false, Some(&kept)), &finds("pay"));
    assert_eq!(looked(kept.counts()), (0, 0, 1));
    let mode = fs::metadata(&path)
        .expect("written anew")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_folder_in_which_others_can_write_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).expect("own");
        let error = Cache::open(folder.path(), MIB).expect_err("others can write there");
        assert_eq!(
            error.to_string(),
            format!(
                "machine code in {} can't be trusted: other users may write there (mode {mode:o}); `chmod go-w` it, or name \
                 another folder",
                folder.path().display()
            )
        );
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("own");
    Cache::open(folder.path(), MIB).expect("others may read it");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    let error = Cache::open(&file, MIB).expect_err("it is a file");
    assert!(error.to_string().ends_with("it is no folder"), "{error}");
}

#[test]
fn past_its_size_what_was_used_longest_ago_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["a", "b", "c", "d", "e", "f"];
    let size = {
        let kept = cache(folder.path());
        load(&engine(false, Some(&kept)), &finds("a"));
        kept.counts().bytes
    };
    // Room for four, and five do not fit.
    let kept = Arc::new(Cache::open(folder.path(), size * 9 / 2).expect("own"));
    let engine = engine(false, Some(&kept));
    for name in &names[..4] {
        load(&engine, &finds(name));
    }
    assert_eq!((kept.counts().evicted, kept.counts().entries), (0, 4));
    load(&engine, &finds("a"));
    load(&engine, &finds("e"));
    assert_eq!((kept.counts().evicted, kept.counts().entries), (1, 4));
    assert_eq!(entries(folder.path()).len(), 4);
    let before = kept.counts();
    load(&engine, &finds("a"));
    assert_eq!(kept.counts().hits, before.hits + 1, "it was used since");
    load(&engine, &finds("b"));
    assert_eq!(kept.counts().misses, before.misses + 1, "it is gone");

    // A smaller bound is kept from the start on, by the order of use of the run before.
    drop((engine, kept));
    let kept = Cache::open(folder.path(), size * 3 / 2).expect("own");
    assert_eq!(
        (kept.counts().entries, entries(folder.path()).len()),
        (1, 1)
    );
}

#[test]
fn a_folder_that_can_not_be_written_costs_nothing_but_time() {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("code");
    let kept = cache(&folder);
    fs::remove_dir_all(&folder).expect("it is there");
    let engine = engine(false, Some(&kept));
    let rule = load(&engine, &finds("pay"));
    assert_eq!(findings(&mut Worker::new(engine), &rule).len(), 2);
    assert_eq!((kept.counts().written, kept.counts().failed), (0, 1));
}
