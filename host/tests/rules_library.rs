//! What a look at the rule files puts in force: real files, the time as an argument.

mod guests;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use betrace::engine::fault::Fault;
use betrace::engine::{BreakerLimits, Engine, EngineLimits, FaultKind};
use betrace::rules::dsl;
use betrace::rules::library::Library;
use betrace::rules::update::{RuleState, Update};
use betrace::rules::watch::Saved;
use betrace::time::Time;

const DELAY: Duration = Duration::from_millis(250);

struct Desk {
    folder: tempfile::TempDir,
    library: Library,
    now: Time,
}

impl Desk {
    fn new(files: &[(&str, &str)]) -> Desk {
        Desk::at(files, &[""])
    }

    /// With these paths named, all within the folder.
    fn at(files: &[(&str, &str)], roots: &[&str]) -> Desk {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("rules")).expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join("rules").join(name), text).expect("a file");
        }
        let engine = Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("limits"));
        let roots = roots.iter().map(|root| match *root {
            "" => folder.path().join("rules"),
            root => folder.path().join("rules").join(root),
        });
        let roots = roots.collect();
        let library = Library::new(engine, roots, &dsl::compile, DELAY);
        let mut desk = Desk {
            folder,
            library,
            now: Time(0),
        };
        desk.library.open(desk.now);
        desk
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("rules")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn save(&mut self, name: &str, text: &str) -> Update {
        fs::write(self.path(name), text).expect("a file");
        self.saved(&[&self.path(name)], false)
    }

    fn remove(&mut self, name: &str) -> Update {
        fs::remove_file(self.path(name)).expect("it is there");
        self.saved(&[], true)
    }

    fn saved(&mut self, paths: &[&Path], rescan: bool) -> Update {
        let saved = Saved {
            paths: paths.iter().map(|path| path.to_path_buf()).collect(),
            rescan,
            writing: Vec::new(),
            at: Instant::now(),
        };
        self.library.saved(&saved, self.now)
    }

    fn after(&mut self, time: Duration) -> Update {
        self.now = self.now.after(time);
        self.library.tick(self.now)
    }

    /// Ids, and where they come from.
    fn in_force(&self) -> Vec<String> {
        let statuses = self.library.statuses();
        let in_force = statuses.iter().filter(|status| status.rule.is_some());
        in_force
            .map(|status| format!("{}@{}", status.id, name(&status.path)))
            .collect()
    }

    fn states(&self) -> Vec<(String, RuleState)> {
        let statuses = self.library.statuses();
        statuses.into_iter().map(|s| (s.id, s.state)).collect()
    }

    fn version(&self, id: &str) -> String {
        let rules = self.library.rules();
        let rule = rules.iter().find(|rule| rule.id == id);
        rule.expect("it is in force").version.clone()
    }
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn rule(id: &str, over: u32) -> String {
    format!("rule {id} {{ detect {{ spans.count() > {over} }} }}\n")
}

fn changed(update: &Update) -> Vec<(&str, bool, bool)> {
    let changes = update.changes.iter();
    changes
        .map(|c| (c.id.as_str(), c.before.is_some(), c.after.is_some()))
        .collect()
}

#[test]
fn an_edit_is_one_change_and_a_touch_is_none() {
    let mut desk = Desk::new(&[
        ("a.betrace", &(rule("a", 1) + &rule("b", 1))),
        ("c.betrace", &rule("c", 1)),
    ]);
    assert_eq!(
        desk.in_force(),
        ["a@a.betrace", "b@a.betrace", "c@c.betrace"]
    );
    let update = desk.save("a.betrace", &(rule("a", 1) + &rule("b", 2)));
    assert_eq!(changed(&update), [("b", true, true)]);
    assert_eq!(update.files.len(), 1);
    let update = desk.save("a.betrace", &(rule("a", 1) + &rule("b", 2)));
    assert!(!update.is_news());
    assert_eq!(update.unchanged, [desk.path("a.betrace")]);
    let update = desk.save(
        "a.betrace",
        &format!("# a word\n{}{}", rule("a", 1), rule("b", 2)),
    );
    assert!(update.changes.is_empty(), "comments change no rule");
    let update = desk.save("d.betrace", &rule("d", 1));
    assert_eq!(changed(&update), [("d", false, true)]);
}

#[test]
fn rules_that_did_not_change_are_the_very_same() {
    let mut desk = Desk::new(&[("a.betrace", &(rule("a", 1) + &rule("b", 1)))]);
    let before = desk.library.rules();
    desk.save("a.betrace", &(rule("a", 1) + &rule("b", 2)));
    let after = desk.library.rules();
    assert!(Arc::ptr_eq(&before[0], &after[0]));
    assert!(!Arc::ptr_eq(&before[1], &after[1]));
    let text = &after[1].source().expect("it has a source").text;
    assert_eq!(
        String::from_utf8_lossy(text),
        rule("b", 2).trim_end(),
        "its own source, and not its neighbours'"
    );
}

#[test]
fn a_broken_file_keeps_its_last_good_version_until_it_is_mended() {
    let mut desk = Desk::new(&[("a.betrace", &(rule("a", 1) + &rule("b", 1)))]);
    let version = desk.version("a");
    let update = desk.save(
        "a.betrace",
        &(rule("a", 2) + "rule b { detect { spans.cuont() > 1 } }"),
    );
    assert!(update.changes.is_empty());
    let report = &update.files[0];
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].rendered(false).contains("cuont"));
    assert_eq!(report.kept, ["a", "b"]);
    assert_eq!(desk.version("a"), version);
    assert_eq!(
        desk.states(),
        [
            ("a".to_owned(), RuleState::LastGood),
            ("b".to_owned(), RuleState::LastGood)
        ]
    );
    desk.after(DELAY * 10);
    assert_eq!(desk.in_force(), ["a@a.betrace", "b@a.betrace"]);
    let update = desk.save("a.betrace", &(rule("a", 2) + &rule("b", 1)));
    assert_eq!(changed(&update), [("a", true, true)]);
    assert!(
        desk.states()
            .iter()
            .all(|(_, state)| *state == RuleState::Active)
    );
}

#[test]
fn a_file_that_never_was_good_is_shown_by_its_name() {
    let desk = Desk::new(&[
        ("bad.betrace", "rule {"),
        ("good.betrace", &rule("good", 1)),
    ]);
    assert_eq!(
        desk.states(),
        [
            ("bad".to_owned(), RuleState::Broken),
            ("good".to_owned(), RuleState::Active)
        ]
    );
}

#[test]
fn an_emptied_file_is_a_mistake_and_no_removal() {
    let mut desk = Desk::new(&[("a.betrace", &rule("a", 1))]);
    let update = desk.save("a.betrace", "");
    assert_eq!(update.files[0].problems.len(), 1);
    desk.after(DELAY);
    assert_eq!(desk.in_force(), ["a@a.betrace"]);
}

#[test]
fn a_deletion_counts_after_a_while_and_not_if_the_file_comes_back() {
    let mut desk = Desk::new(&[("a.betrace", &rule("a", 1)), ("b.betrace", &rule("b", 1))]);
    let update = desk.remove("a.betrace");
    assert!(update.changes.is_empty());
    assert_eq!(desk.library.due(), Some(Time(0).after(DELAY)));
    desk.after(DELAY - Duration::from_millis(1));
    assert_eq!(desk.in_force().len(), 2);
    let version = desk.version("a");
    desk.save("a.betrace", &rule("a", 1));
    assert_eq!(desk.library.due(), None);
    desk.after(DELAY);
    assert_eq!(desk.version("a"), version);

    desk.remove("a.betrace");
    let update = desk.after(DELAY);
    assert_eq!(changed(&update), [("a", true, false)]);
    assert!(update.files[0].removed);
    assert_eq!(desk.in_force(), ["b@b.betrace"]);
    assert_eq!(desk.library.due(), None);
}

#[test]
fn a_file_that_comes_back_broken_keeps_its_last_good_version() {
    let mut desk = Desk::new(&[("a.betrace", &(rule("a", 1) + &rule("b", 1)))]);
    desk.remove("a.betrace");
    let update = desk.save("a.betrace", "rule a {");
    assert_eq!(update.files[0].kept, ["a", "b"]);
    desk.after(DELAY);
    assert_eq!(desk.in_force(), ["a@a.betrace", "b@a.betrace"]);
    assert_eq!(desk.library.due(), None);
}

#[test]
fn a_file_that_is_written_anew_may_take_its_time() {
    let mut desk = Desk::new(&[("a.betrace", &(rule("a", 1) + &rule("b", 1)))]);
    desk.remove("a.betrace");
    fs::write(desk.path("a.betrace"), rule("a", 2)).expect("a file");
    for _ in 0..20 {
        assert!(desk.after(DELAY * 4).changes.is_empty());
    }
    let saved = Saved {
        paths: Vec::new(),
        rescan: true,
        writing: vec![desk.path("a.betrace")],
        at: Instant::now(),
    };
    desk.library.saved(&saved, desk.now);
    for _ in 0..20 {
        assert!(desk.after(DELAY * 4).changes.is_empty());
    }
    let update = desk.save("a.betrace", &(rule("a", 2) + &rule("b", 1)));
    assert_eq!(changed(&update), [("a", true, true)]);
    assert_eq!(desk.library.due(), None);
}

#[test]
fn a_file_that_is_moved_compiles_nothing() {
    let mut desk = Desk::new(&[("a.betrace", &(rule("a", 1) + &rule("b", 1)))]);
    let before = desk.library.rules();
    fs::rename(desk.path("a.betrace"), desk.path("b.betrace")).expect("it moves");
    let update = desk.saved(&[], true);
    assert!(update.changes.is_empty());
    desk.after(DELAY);
    assert_eq!(desk.in_force(), ["a@b.betrace", "b@b.betrace"]);
    let after = desk.library.rules();
    assert!(before.iter().zip(&after).all(|(a, b)| Arc::ptr_eq(a, b)));
    // Nor do they in the library's own view of the file: another rule of it changes, and theirs stay.
    desk.save("b.betrace", &(rule("a", 1) + &rule("b", 2)));
    assert!(Arc::ptr_eq(&before[0], &desk.library.rules()[0]));
}

#[test]
fn a_rule_cut_out_of_its_file_goes_after_a_while_too() {
    let mut desk = Desk::new(&[("a.betrace", &(rule("a", 1) + &rule("b", 1)))]);
    let update = desk.save("a.betrace", &rule("a", 1));
    assert!(update.changes.is_empty(), "it may be half of a save");
    assert_eq!(update.files[0].leaving, ["b"]);
    let update = desk.save("a.betrace", &(rule("a", 1) + "# more\n"));
    assert!(update.files[0].leaving.is_empty(), "it is told once");
    let update = desk.after(DELAY);
    assert_eq!(changed(&update), [("b", true, false)]);
}

#[test]
fn a_rule_may_move_between_files_in_any_order() {
    for first in ["a", "b"] {
        let mut desk = Desk::new(&[("a.betrace", &(rule("x", 1) + &rule("y", 1)))]);
        let version = desk.version("x");
        let mut saves = vec![("a.betrace", rule("y", 1)), ("b.betrace", rule("x", 1))];
        if first == "b" {
            saves.reverse();
        }
        for (file, text) in saves {
            let update = desk.save(file, &text);
            assert!(update.changes.is_empty(), "{first}: {:?}", update.changes);
        }
        desk.after(DELAY);
        assert_eq!(desk.in_force(), ["x@b.betrace", "y@a.betrace"], "{first}");
        assert_eq!(desk.version("x"), version);
    }
}

#[test]
fn of_two_files_with_one_rule_the_one_that_had_it_keeps_it() {
    let mut desk = Desk::new(&[("b.betrace", &rule("x", 1))]);
    let update = desk.save("a.betrace", &rule("x", 2));
    assert!(update.changes.is_empty());
    let problem = update.files[0]
        .problems
        .last()
        .expect("it is told")
        .to_string();
    assert!(
        problem.contains("already in") && problem.contains("b.betrace"),
        "{problem}"
    );
    assert_eq!(desk.in_force(), ["x@b.betrace"]);
    let update = desk.remove("b.betrace");
    assert!(update.changes.is_empty(), "it may be back");
    let update = desk.after(DELAY);
    assert_eq!(
        changed(&update),
        [("x", true, true)],
        "the other takes over"
    );
    assert_eq!(desk.in_force(), ["x@a.betrace"]);
}

#[test]
fn a_folder_that_vanishes_keeps_its_rules() {
    let mut desk = Desk::new(&[("a.betrace", &rule("a", 1)), ("b.betrace", &rule("b", 1))]);
    let away = desk.folder.path().join("away");
    fs::rename(desk.root(), &away).expect("it moves");
    let update = desk.saved(&[], true);
    assert_eq!(update.paths.len(), 1, "{:?}", update.paths);
    for _ in 0..20 {
        let update = desk.after(DELAY * 4);
        assert!(update.changes.is_empty());
    }
    assert_eq!(desk.in_force().len(), 2);
    for status in desk.library.statuses() {
        assert_eq!(status.state, RuleState::LastGood);
        let why = status.diagnostic.expect("it says why");
        assert!(why.contains("No such file or directory"), "{why}");
    }
    fs::remove_file(away.join("b.betrace")).expect("it is there");
    fs::rename(&away, desk.root()).expect("it moves");
    desk.saved(&[], true);
    let mut gone = Vec::new();
    for _ in 0..5 {
        let update = desk.after(DELAY * 4);
        gone.extend(changed(&update).into_iter().map(|(id, ..)| id.to_owned()));
    }
    assert_eq!(gone, ["b"]);
    assert_eq!(desk.in_force(), ["a@a.betrace"]);
}

#[test]
fn a_file_that_is_being_written_is_not_read() {
    let mut desk = Desk::new(&[("a.betrace", &rule("a", 1))]);
    fs::write(desk.path("a.betrace"), rule("other", 1)).expect("a file");
    let saved = Saved {
        paths: Vec::new(),
        rescan: true,
        writing: vec![desk.path("a.betrace")],
        at: Instant::now(),
    };
    let update = desk.library.saved(&saved, desk.now);
    assert!(update.files.is_empty());
    assert_eq!(desk.in_force(), ["a@a.betrace"]);
    let update = desk.saved(&[], true);
    assert_eq!(changed(&update), [("other", false, true)]);
}

#[test]
fn a_rule_that_fails_its_trial_never_comes_into_force() {
    let mut desk = Desk::new(&[("a.betrace", &rule("a", 1))]);
    let describe = guests::Describe {
        id: "falls-over",
        ..guests::Describe::default()
    };
    let path = desk.path("trap.wasm");
    fs::write(&path, guests::component("trap", &describe)).expect("a file");
    let update = desk.saved(&[], true);
    assert!(update.changes.is_empty());
    let problem = update.files[0].problems[0].to_string();
    assert!(
        problem.contains("`falls-over` failed on a trial batch"),
        "{problem}"
    );
    fs::write(&path, guests::component("trap_many", &describe)).expect("a file");
    let update = desk.saved(&[&path], false);
    assert_eq!(changed(&update), [("falls-over", false, true)]);
    assert_eq!(
        desk.library.rules()[1].counts().evaluations,
        0,
        "a trial is not counted"
    );
    fs::write(&path, guests::component("trap", &describe)).expect("a file");
    desk.saved(&[&path], false);
    assert_eq!(desk.in_force(), ["a@a.betrace", "falls-over@trap.wasm"]);
}

/// Lets the rule in force fault until it is quarantined.
fn trip(desk: &Desk, id: &str) {
    let rules = desk.library.rules();
    let rule = rules.iter().find(|rule| rule.id == id);
    let breaker = rule.expect("it is in force").breaker();
    let limits = BreakerLimits::default();
    let fault = Fault::new(FaultKind::Trap, "unreachable");
    for _ in 0..limits.faults {
        breaker.faulted(&fault, desk.now, false, &limits);
    }
    assert!(breaker.quarantine().is_some());
}

fn state(desk: &Desk, id: &str) -> RuleState {
    let statuses = desk.library.statuses();
    let status = statuses.iter().find(|status| status.id == id);
    status
        .expect("it is known")
        .state_now(betrace::time::Time::default())
}

#[test]
fn a_version_that_keeps_faulting_gives_way_to_the_one_before() {
    let mut desk = Desk::new(&[("a.betrace", &rule("a", 1)), ("b.betrace", &rule("b", 1))]);
    let good = desk.version("a");
    desk.save("a.betrace", &rule("a", 2));
    let bad = desk.version("a");
    trip(&desk, "a");
    assert_eq!(state(&desk, "a"), RuleState::Quarantined);

    let update = desk.library.tripped();
    assert_eq!(changed(&update), [("a", true, true)]);
    let trip_of_a = &update.trips[0];
    assert_eq!(
        (&trip_of_a.version, trip_of_a.back_to.as_ref()),
        (&bad, Some(&good))
    );
    assert_eq!(trip_of_a.fault.to_string(), "trap: unreachable");
    assert_eq!(desk.version("a"), good);
    assert_eq!(state(&desk, "a"), RuleState::RolledBack);
    assert_eq!(state(&desk, "b"), RuleState::Active);
    let statuses = desk.library.statuses();
    let withheld = statuses[0].withheld.as_ref().expect("it says why");
    assert_eq!(withheld.version, bad);

    // The file gives the bad one still, whatever else is looked at.
    assert!(desk.library.tripped().is_empty());
    let comment = format!("// why\n{}", rule("a", 2));
    assert!(desk.save("a.betrace", &comment).changes.is_empty());
    assert_eq!(desk.version("a"), good);
    // Another version is in force at once.
    let update = desk.save("a.betrace", &rule("a", 3));
    assert_eq!(changed(&update), [("a", true, true)]);
    assert_eq!(state(&desk, "a"), RuleState::Active);
}

#[test]
fn without_a_good_version_before_it_a_rule_stays_quarantined_and_that_is_told_once() {
    let mut desk = Desk::new(&[("a.betrace", &rule("a", 1))]);
    trip(&desk, "a");
    let update = desk.library.tripped();
    assert!(update.changes.is_empty() && update.trips[0].back_to.is_none());
    assert!(desk.library.tripped().is_empty(), "told once");
    assert_eq!(state(&desk, "a"), RuleState::Quarantined);
    // One that was quarantined is no good version.
    desk.save("a.betrace", &rule("a", 2));
    assert_eq!(state(&desk, "a"), RuleState::Active);
    trip(&desk, "a");
    let update = desk.library.tripped();
    assert!(update.changes.is_empty() && update.trips[0].back_to.is_none());
}

#[test]
fn a_rule_goes_back_as_far_as_it_has_to_and_its_file_decides_again_when_it_changes() {
    let mut desk = Desk::new(&[("a.betrace", &rule("a", 1))]);
    let first = desk.version("a");
    desk.save("a.betrace", &rule("a", 2));
    let second = desk.version("a");
    desk.save("a.betrace", &rule("a", 3));
    let third = desk.version("a");
    for before in [&second, &first] {
        trip(&desk, "a");
        desk.library.tripped();
        assert_eq!(desk.version("a"), *before);
        let statuses = desk.library.statuses();
        assert_eq!(
            statuses[0].withheld.as_ref().map(|w| &w.version),
            Some(&third)
        );
    }
    trip(&desk, "a");
    assert!(desk.library.tripped().changes.is_empty());
    assert_eq!(state(&desk, "a"), RuleState::Quarantined);
    // Saved as it was two versions ago: what runs is what is there, and it is out of quarantine.
    desk.save("a.betrace", &rule("a", 2));
    assert_eq!(desk.version("a"), second);
    assert_eq!(state(&desk, "a"), RuleState::Active);
}

#[test]
fn the_other_file_of_a_rule_waits_as_long_as_the_first_may_be_back() {
    let mut desk = Desk::new(&[("b.betrace", &rule("x", 1))]);
    desk.save("a.betrace", &rule("x", 2));
    let first = desk.version("x");
    // Deleted and written anew, as some programs save.
    for _ in 0..3 {
        let update = desk.remove("b.betrace");
        assert!(update.changes.is_empty(), "{update:?}");
        let update = desk.after(DELAY / 2);
        assert!(update.changes.is_empty(), "{update:?}");
        fs::write(desk.path("b.betrace"), rule("x", 1)).expect("a file");
        let update = desk.saved(&[], true);
        assert!(update.changes.is_empty(), "{update:?}");
        let update = desk.after(DELAY * 4);
        assert!(update.changes.is_empty(), "{update:?}");
        assert_eq!(desk.version("x"), first);
        assert_eq!(desk.in_force(), ["x@b.betrace"]);
    }
    // The other goes at once, as nothing of it is in force.
    let update = desk.remove("a.betrace");
    assert!(update.files[0].removed && update.files[0].path == desk.path("a.betrace"));
    assert_eq!(desk.states(), [("x".to_owned(), RuleState::Active)]);
}

#[test]
fn a_file_that_was_named_goes_as_others_do() {
    let files = [("a.betrace", &*rule("a", 1)), ("b.betrace", &rule("b", 1))];
    let mut desk = Desk::at(&files, &["a.betrace", "b.betrace"]);
    desk.remove("a.betrace");
    assert_eq!(desk.in_force(), ["a@a.betrace", "b@b.betrace"]);
    let update = desk.after(DELAY);
    assert_eq!(changed(&update), [("a", true, false)]);
    assert_eq!(desk.in_force(), ["b@b.betrace"]);
    // With the folder around it, it may be back.
    let away = desk.folder.path().join("away");
    fs::rename(desk.root(), &away).expect("it moves");
    desk.saved(&[], true);
    for _ in 0..3 {
        let update = desk.after(DELAY * 4);
        assert!(update.changes.is_empty(), "{update:?}");
    }
}
