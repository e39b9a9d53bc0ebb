//! A real watcher over real files: each way in which editors, deployments and people change rules.
//!
//! A test does something to the files and follows what the library makes of the saves until it is as it should be. What must
//! not happen is checked on the way: after each look, rules that nobody took away are in force.

#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use betrace::engine::{Engine, EngineLimits};
use betrace::pipeline::thread::Clock;
use betrace::rules::dsl;
use betrace::rules::library::Library;
use betrace::rules::watch::{Saved, Watch, WatchOptions};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

/// A test that waits longer than this for something that should happen has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any test but those that are about it.
const HELD_OPEN: Duration = Duration::from_secs(10);

const EVENTS: WatchOptions = WatchOptions {
    // So that events alone make a test pass.
    poll: Duration::from_secs(3600),
    quiet: Duration::from_millis(3),
    held_open: HELD_OPEN,
    events: true,
};

const LOOKS: WatchOptions = WatchOptions {
    poll: Duration::from_millis(20),
    quiet: Duration::from_millis(3),
    held_open: HELD_OPEN,
    events: false,
};

struct Desk {
    folder: tempfile::TempDir,
    library: Library,
    saved: Receiver<Saved>,
    clock: Clock,
    /// Ids that must be in force after each look.
    always: Vec<String>,
    watch: Watch,
}

impl Desk {
    /// `prepare` makes what is there at first; `rules` under the folder is watched.
    fn new(options: WatchOptions, prepare: impl FnOnce(&Path)) -> Desk {
        Desk::with(options, unbounded(), prepare)
    }

    fn with(
        options: WatchOptions,
        (sender, saved): (Sender<Saved>, Receiver<Saved>),
        prepare: impl FnOnce(&Path),
    ) -> Desk {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(folder.path());
        let roots = vec![folder.path().join("rules")];
        let engine = Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("limits"));
        let clock = Clock::start();
        let delay = Duration::from_millis(250);
        let mut library = Library::new(engine, roots.clone(), &dsl::compile, delay);
        let watch = Watch::start(roots, options, sender).expect("a thread starts");
        library.open(clock.now());
        Desk {
            folder,
            library,
            saved,
            clock,
            always: Vec::new(),
            watch,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on these are always in force.
    fn always(&mut self, ids: &[&str]) {
        self.always = ids.iter().map(|id| (*id).to_owned()).collect();
    }

    /// Id and threshold of each rule in force.
    fn in_force(&self) -> Vec<String> {
        self.library
            .rules()
            .iter()
            .map(|rule| {
                let text = &rule.manifest.clauses[0].text;
                let number = text.rsplit(' ').next().unwrap_or_default();
                format!("{}>{number}", rule.id)
            })
            .collect()
    }

    /// Follows saves until the rules in force are these.
    fn until(&mut self, wanted: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        while self.in_force() != wanted {
            let now = Instant::now();
            assert!(
                now < deadline,
                "in force: {:?}, wanted {wanted:?}",
                self.in_force()
            );
            let due = self
                .library
                .due()
                .map(|at| now + at.since(self.clock.now()));
            match self
                .saved
                .recv_deadline(due.unwrap_or(deadline).min(deadline))
            {
                Ok(saved) => {
                    self.library.saved(&saved, self.clock.now());
                }
                Err(_) => {
                    self.library.tick(self.clock.now());
                }
            }
            let ids: Vec<String> = self.library.rules().iter().map(|r| r.id.clone()).collect();
            for id in &self.always {
                assert!(ids.contains(id), "`{id}` went out of force: {ids:?}");
            }
        }
    }
}

fn rule(id: &str, over: u32) -> String {
    format!("rule {id} {{ detect {{ spans.count() > {over} }} }}\n")
}

fn plain(folder: &Path) {
    fs::create_dir(folder.join("rules")).expect("a folder");
    fs::write(folder.join("rules/a.betrace"), rule("a", 1)).expect("a file");
    fs::write(folder.join("rules/b.betrace"), rule("b", 1)).expect("a file");
}

/// As most editors save: a new file beside the old one, renamed over it.
fn rename_over(path: &Path, text: &str) {
    let beside = path.with_extension("betrace.tmp");
    fs::write(&beside, text).expect("a file");
    fs::rename(&beside, path).expect("it is renamed");
}

/// Events with looks between them, as in `serve` but all the time.
const BOTH: WatchOptions = WatchOptions {
    poll: Duration::from_millis(1),
    quiet: Duration::from_millis(3),
    held_open: HELD_OPEN,
    events: true,
};

#[test]
fn looks_do_not_get_in_the_way_of_events() {
    let mut desk = Desk::new(BOTH, plain);
    desk.always(&["a", "b"]);
    for over in 2..40 {
        rename_over(&desk.path("rules/a.betrace"), &rule("a", over));
        fs::write(desk.path("rules/b.betrace"), rule("b", over)).expect("a file");
        desk.until(&[&format!("a>{over}"), &format!("b>{over}")]);
    }
}

#[test]
fn a_rename_and_a_write_in_place_are_saves() {
    for options in [EVENTS, LOOKS] {
        let mut desk = Desk::new(options, plain);
        desk.always(&["a", "b"]);
        rename_over(&desk.path("rules/a.betrace"), &rule("a", 2));
        desk.until(&["a>2", "b>1"]);
        fs::write(desk.path("rules/b.betrace"), rule("b", 3)).expect("a file");
        desk.until(&["a>2", "b>3"]);
        fs::write(desk.path("rules/c.betrace"), rule("c", 4)).expect("a file");
        desk.until(&["a>2", "b>3", "c>4"]);
    }
}

#[test]
fn a_file_may_be_moved_away_and_written_anew() {
    let mut desk = Desk::new(EVENTS, plain);
    desk.always(&["a", "b"]);
    let path = desk.path("rules/a.betrace");
    for over in 2..12 {
        fs::rename(&path, desk.path("rules/a.betrace~")).expect("it is renamed");
        fs::write(&path, rule("a", over)).expect("a file");
        desk.until(&[&format!("a>{over}"), "b>1"]);
    }
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, rule("a", 50)).expect("a file");
    desk.until(&["a>50", "b>1"]);
}

#[test]
fn a_file_caught_half_written_counts_only_when_it_is_closed() {
    let mut desk = Desk::new(EVENTS, plain);
    fs::write(desk.path("rules/a.betrace"), rule("a", 1) + &rule("x", 1)).expect("a file");
    desk.until(&["a>1", "b>1", "x>1"]);
    desk.always(&["a", "b", "x"]);
    let mut file = fs::File::create(desk.path("rules/a.betrace")).expect("it opens");
    file.write_all(rule("a", 2).as_bytes())
        .expect("it is written");
    file.flush().expect("it is written");
    // Some editors see to the rights of a file before they close it.
    fs::set_permissions(
        desk.path("rules/a.betrace"),
        fs::Permissions::from_mode(0o640),
    )
    .expect("it is ours");
    // Another save makes the watcher look while the file holds one rule of two.
    fs::create_dir(desk.path("rules/sub")).expect("a folder");
    rename_over(&desk.path("rules/b.betrace"), &rule("b", 2));
    desk.until(&["a>1", "b>2", "x>1"]);
    file.write_all(rule("x", 2).as_bytes())
        .expect("it is written");
    drop(file);
    desk.until(&["a>2", "b>2", "x>2"]);
}

#[test]
fn a_broken_save_changes_nothing_and_a_mended_one_counts() {
    let mut desk = Desk::new(EVENTS, plain);
    desk.always(&["a", "b"]);
    rename_over(&desk.path("rules/a.betrace"), "rule a { detect { spans.");
    rename_over(&desk.path("rules/b.betrace"), &rule("b", 2));
    desk.until(&["a>1", "b>2"]);
    rename_over(&desk.path("rules/a.betrace"), &rule("a", 3));
    desk.until(&["a>3", "b>2"]);
}

#[test]
fn a_removed_file_goes_and_many_at_once_come() {
    for options in [EVENTS, LOOKS] {
        let mut desk = Desk::new(options, plain);
        desk.always(&["a"]);
        fs::remove_file(desk.path("rules/b.betrace")).expect("it is there");
        desk.until(&["a>1"]);
        let folder = desk.path("rules/many");
        fs::create_dir(&folder).expect("a folder");
        let mut wanted = vec!["a>1".to_owned()];
        for index in 0..120 {
            let id = format!("r{index:03}");
            fs::write(folder.join(format!("{id}.betrace")), rule(&id, index)).expect("a file");
            wanted.push(format!("{id}>{index}"));
        }
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        desk.until(&wanted);
        fs::remove_dir_all(&folder).expect("it is there");
        desk.until(&["a>1"]);
    }
}

/// `rules/a.betrace -> ..data/a.betrace`, `..data -> ..1`: an update makes `..2` and swaps the link.
#[test]
fn a_config_map_is_swapped_as_a_whole() {
    let mut desk = Desk::new(EVENTS, |folder| {
        let rules = folder.join("rules");
        fs::create_dir_all(rules.join("..1")).expect("a folder");
        fs::write(rules.join("..1/a.betrace"), rule("a", 1)).expect("a file");
        fs::write(rules.join("..1/b.betrace"), rule("b", 1)).expect("a file");
        symlink("..1", rules.join("..data")).expect("a link");
        symlink("..data/a.betrace", rules.join("a.betrace")).expect("a link");
        symlink("..data/b.betrace", rules.join("b.betrace")).expect("a link");
    });
    desk.until(&["a>1", "b>1"]);
    desk.always(&["a"]);
    for version in 2..6 {
        let data = desk.path(&format!("rules/..{version}"));
        fs::create_dir(&data).expect("a folder");
        fs::write(data.join("a.betrace"), rule("a", version)).expect("a file");
        fs::write(data.join("b.betrace"), rule("b", version)).expect("a file");
        let swap = desk.path("rules/..data_tmp");
        symlink(format!("..{version}"), &swap).expect("a link");
        fs::rename(&swap, desk.path("rules/..data")).expect("it is renamed");
        desk.until(&[&format!("a>{version}"), &format!("b>{version}")]);
        fs::remove_dir_all(desk.path(&format!("rules/..{}", version - 1))).expect("it is there");
    }
}

#[test]
fn a_mounted_folder_may_be_a_link_that_is_swapped() {
    let mut desk = Desk::new(EVENTS, |folder| {
        for version in 1..3 {
            let of_version = folder.join(version.to_string());
            fs::create_dir(&of_version).expect("a folder");
            fs::write(of_version.join("a.betrace"), rule("a", version)).expect("a file");
        }
        symlink("1", folder.join("rules")).expect("a link");
    });
    desk.until(&["a>1"]);
    desk.always(&["a"]);
    symlink("2", desk.path("next")).expect("a link");
    fs::rename(desk.path("next"), desk.path("rules")).expect("it is renamed");
    desk.until(&["a>2"]);
    fs::write(desk.path("2/a.betrace"), rule("a", 9)).expect("a file");
    desk.until(&["a>9"]);
}

#[test]
fn a_file_behind_a_link_is_followed_to_where_it_is() {
    let mut desk = Desk::new(EVENTS, |folder| {
        fs::create_dir_all(folder.join("rules")).expect("a folder");
        fs::create_dir_all(folder.join("elsewhere")).expect("a folder");
        fs::write(folder.join("elsewhere/real.betrace"), rule("a", 1)).expect("a file");
        symlink("../elsewhere/real.betrace", folder.join("rules/a.betrace")).expect("a link");
    });
    desk.until(&["a>1"]);
    desk.always(&["a"]);
    fs::write(desk.path("elsewhere/real.betrace"), rule("a", 2)).expect("a file");
    desk.until(&["a>2"]);
    rename_over(&desk.path("elsewhere/real.betrace"), &rule("a", 3));
    desk.until(&["a>3"]);
}

#[test]
fn a_folder_that_was_taken_away_and_put_back_is_followed() {
    let mut desk = Desk::new(EVENTS, plain);
    desk.always(&["a"]);
    fs::rename(desk.path("rules"), desk.path("away")).expect("it moves");
    // Written while nobody can see it: it counts when the folder is back.
    fs::write(desk.path("away/a.betrace"), rule("a", 2)).expect("a file");
    fs::rename(desk.path("away"), desk.path("rules")).expect("it moves");
    desk.until(&["a>2", "b>1"]);
    fs::remove_dir_all(desk.path("rules")).expect("it is there");
    fs::create_dir(desk.path("rules")).expect("a folder");
    fs::write(desk.path("rules/a.betrace"), rule("a", 3)).expect("a file");
    desk.until(&["a>3"]);
    rename_over(&desk.path("rules/a.betrace"), &rule("a", 4));
    desk.until(&["a>4"]);
}

#[test]
fn a_folder_may_be_replaced_and_may_come_later() {
    let mut desk = Desk::new(EVENTS, |_| {});
    desk.until(&[]);
    fs::create_dir_all(desk.path("next")).expect("a folder");
    fs::write(desk.path("next/a.betrace"), rule("a", 1)).expect("a file");
    fs::rename(desk.path("next"), desk.path("rules")).expect("it moves");
    desk.until(&["a>1"]);
    desk.always(&["a"]);
    fs::create_dir_all(desk.path("next")).expect("a folder");
    fs::write(desk.path("next/a.betrace"), rule("a", 2)).expect("a file");
    fs::rename(desk.path("rules"), desk.path("old")).expect("it moves");
    fs::rename(desk.path("next"), desk.path("rules")).expect("it moves");
    desk.until(&["a>2"]);
    fs::write(desk.path("rules/a.betrace"), rule("a", 3)).expect("a file");
    desk.until(&["a>3"]);
}

#[test]
fn a_hard_link_and_a_link_are_put_in_place_without_being_written() {
    let mut desk = Desk::new(LOOKS, plain);
    fs::write(desk.path("x"), rule("x", 1)).expect("a file");
    fs::hard_link(desk.path("x"), desk.path("rules/x.betrace")).expect("a link");
    desk.until(&["a>1", "b>1", "x>1"]);

    let mut desk = Desk::new(EVENTS, plain);
    fs::write(desk.path("x"), rule("x", 1)).expect("a file");
    symlink(desk.path("x"), desk.path("rules/x.betrace")).expect("a link");
    desk.until(&["a>1", "b>1", "x>1"]);
}

#[test]
fn a_folder_that_flickers_is_still_followed() {
    let mut desk = Desk::new(EVENTS, plain);
    desk.always(&["a", "b"]);
    let (rules, away) = (desk.path("rules"), desk.path("away"));
    for over in 2..30 {
        fs::rename(&rules, &away).expect("it moves");
        fs::rename(&away, &rules).expect("it moves");
        rename_over(&desk.path("rules/a.betrace"), &rule("a", over));
        desk.until(&[&format!("a>{over}"), "b>1"]);
    }
}

#[test]
fn a_file_that_nobody_closes_is_taken_when_it_stands_still() {
    let options = WatchOptions {
        held_open: Duration::from_millis(200),
        ..BOTH
    };
    let mut desk = Desk::new(options, plain);
    let mut file = fs::File::create(desk.path("rules/a.betrace")).expect("it opens");
    file.write_all(rule("a", 2).as_bytes())
        .expect("it is written");
    desk.until(&["a>2", "b>1"]);
}

#[test]
fn what_no_event_told_is_found_all_the_same() {
    // The first save is taken, the second waits in the channel, the third holds the watcher up.
    let mut desk = Desk::with(EVENTS, bounded(1), plain);
    desk.always(&["a", "b"]);
    let noise = desk.path("rules/noise.betrace");
    // Each write is a few events, and there is room for 16,384.
    for over in 0..12_000 {
        fs::write(&noise, rule("noise", over)).expect("a file");
    }
    fs::rename(desk.path("rules"), desk.path("away")).expect("it moves");
    fs::rename(desk.path("away"), desk.path("rules")).expect("it moves");
    rename_over(&desk.path("rules/a.betrace"), &rule("a", 2));
    desk.until(&["a>2", "b>1", "noise>11999"]);
    assert!(desk.watch.counters().overflows.load(Relaxed) > 0);
    rename_over(&desk.path("rules/b.betrace"), &rule("b", 2));
    desk.until(&["a>2", "b>2", "noise>11999"]);
}

#[test]
fn folders_in_new_folders_are_followed() {
    let mut desk = Desk::new(EVENTS, plain);
    desk.always(&["a", "b"]);
    fs::create_dir_all(desk.path("rules/x/y/z")).expect("folders");
    let path = desk.path("rules/x/y/z/c.betrace");
    fs::write(&path, rule("c", 1)).expect("a file");
    desk.until(&["a>1", "b>1", "c>1"]);
    fs::write(&path, rule("c", 2)).expect("a file");
    desk.until(&["a>1", "b>1", "c>2"]);
    fs::rename(desk.path("rules/x"), desk.path("rules/w")).expect("it moves");
    fs::write(desk.path("rules/w/y/z/c.betrace"), rule("c", 3)).expect("a file");
    desk.until(&["a>1", "b>1", "c>3"]);
}

#[test]
fn a_folder_behind_a_link_is_followed_until_the_link_is_gone() {
    let mut desk = Desk::new(EVENTS, |folder| {
        plain(folder);
        fs::create_dir(folder.join("elsewhere")).expect("a folder");
        fs::write(folder.join("elsewhere/c.betrace"), rule("c", 1)).expect("a file");
        symlink("../elsewhere", folder.join("rules/linked")).expect("a link");
    });
    desk.until(&["a>1", "b>1", "c>1"]);
    fs::write(desk.path("elsewhere/c.betrace"), rule("c", 2)).expect("a file");
    desk.until(&["a>1", "b>1", "c>2"]);
    fs::remove_file(desk.path("rules/linked")).expect("it is there");
    desk.until(&["a>1", "b>1"]);
}

/// The way that a path is written says nothing about the files.
#[test]
fn a_half_written_file_is_known_by_any_path() {
    let folder = tempfile::tempdir().expect("a folder");
    plain(folder.path());
    let roots = vec![folder.path().join("rules/../rules")];
    let engine = Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("limits"));
    let clock = Clock::start();
    let delay = Duration::from_millis(250);
    let mut library = Library::new(engine, roots.clone(), &dsl::compile, delay);
    let (sender, saved) = unbounded();
    let _watch = Watch::start(roots, EVENTS, sender).expect("a thread starts");
    library.open(clock.now());
    let mut file = fs::File::create(folder.path().join("rules/a.betrace")).expect("it opens");
    file.write_all(rule("x", 1).as_bytes())
        .expect("it is written");
    fs::create_dir(folder.path().join("rules/sub")).expect("a folder");
    let first = saved
        .recv_timeout(PATIENCE)
        .expect("the new folder is told");
    assert!(first.rescan);
    library.saved(&first, clock.now());
    let ids = |library: &Library| -> Vec<String> {
        library.rules().iter().map(|rule| rule.id.clone()).collect()
    };
    assert_eq!(ids(&library), ["a", "b"]);
}
