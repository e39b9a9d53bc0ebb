//! The write-ahead log in a host: opened first, read back into the shards before anything is served, closed last.

use std::path::PathBuf;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::cli::Failure;
use crate::cli::failure::note;
use crate::config::Config;
use crate::ingest::Router;
use crate::pipeline::thread::{Past, ShardLog};
use crate::sinks::text::counted;
use crate::wal::recover::Remembered;
use crate::wal::{Keeper, Log, OpenError, Opened, Options};

/// Parts of requests that wait for one shard while the log is read back: enough that neither waits for the other all the time.
const PAST: usize = 16;

/// The log of a running host.
#[derive(Debug)]
pub(super) struct Kept {
    log: Log,
    keeper: Keeper,
}

/// A log that is read back.
pub(super) struct Recovery {
    opened: Opened,
    shards: Vec<Told>,
}

/// One shard, as told of what was.
struct Told {
    past: Sender<Past>,
    resumed: Receiver<u64>,
    wake: Sender<()>,
}

/// Takes the log that the configuration names; none where it names none.
pub(super) fn open(config: &Config) -> Result<Option<Opened>, Failure> {
    let Some(folder) = &config.data else {
        return Ok(None);
    };
    let remembered = config.decided_traces.saturating_mul(config.workers);
    let options = Options::new(
        config.log_size as u64,
        config.decided_for,
        remembered as u64,
    );
    Opened::open(folder, options).map(Some).map_err(failure)
}

impl Recovery {
    pub(super) fn new(opened: Opened) -> Recovery {
        Recovery {
            opened,
            shards: Vec::new(),
        }
    }

    pub(super) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// What the next shard is given.
    pub(super) fn shard(&mut self) -> ShardLog {
        let (past_sender, past) = bounded(PAST);
        let (resumed, resumed_receiver) = bounded(1);
        let (wake_sender, wake) = bounded(1);
        self.shards.push(Told {
            past: past_sender,
            resumed: resumed_receiver,
            wake: wake_sender,
        });
        ShardLog {
            pressure: self.opened.pressure(),
            wake,
            past,
            resumed,
        }
    }

    /// Hands the shards what the log has, waits until they have it, and starts to write.
    pub(super) fn replay(
        mut self,
        router: &Router,
        folder: Option<&PathBuf>,
    ) -> Result<Kept, Failure> {
        self.tell_decided(router);
        let shards = &self.shards;
        self.opened
            .replay(|record| {
                let needed = |id: &[u8; 16]| !record.is_decided(id);
                let Ok(parts) = router.split(record.bytes.clone(), needed) else {
                    tracing::error!(
                        "a request in the write-ahead log can't be read: it is passed over"
                    );
                    record.is_damaged();
                    return;
                };
                let mut spans = 0;
                for (shard, parcel) in parts {
                    spans += parcel.spans.len() as u64;
                    let past = Past::Spans(parcel, record.hold());
                    // A shard that is gone has panicked, which is told; what it does not take stays in the log.
                    let _ = shards.get(shard).map(|told| told.past.send(past));
                }
                if spans > 0 {
                    record.came_back(spans);
                }
            })
            .map_err(failure)?;
        let mut traces = 0;
        let mut wakes = Vec::new();
        for told in self.shards {
            drop(told.past);
            traces += told.resumed.recv().unwrap_or_default();
            wakes.push(told.wake);
        }
        self.opened.came_back(traces);
        let counters = self.opened.counters();
        if let Some(folder) = folder
            && counters.replayed_requests() > 0
        {
            note(&format!(
                "betrace: {} of {} in {} came back from {}",
                counted(traces, "open trace"),
                counted(counters.replayed_spans(), "span"),
                counted(counters.replayed_requests(), "request"),
                folder.display(),
            ));
        }
        let (log, keeper) = self.opened.start(wakes).map_err(failure)?;
        router.keep(log.clone());
        Ok(Kept { log, keeper })
    }

    fn tell_decided(&self, router: &Router) {
        let mut decided: Vec<Vec<Remembered>> = self.shards.iter().map(|_| Vec::new()).collect();
        for remembered in self.opened.remembered() {
            if let Some(of_shard) = decided.get_mut(router.shard(&remembered.id)) {
                of_shard.push(remembered);
            }
        }
        for (told, decided) in self.shards.iter().zip(decided) {
            let _ = told.past.send(Past::Decided(decided));
        }
    }
}

impl Kept {
    /// Waits until what nobody needs is gone. All else of the host has ended.
    pub(super) fn finish(self) -> Result<(), Failure> {
        drop(self.log);
        if self.keeper.finish() {
            Ok(())
        } else {
            Err(
                Failure::new("the thread of the write-ahead log ended by a panic")
                    .help("this is a bug in betrace: please report it with what stands above"),
            )
        }
    }
}

fn failure(error: OpenError) -> Failure {
    let help = match &error {
        OpenError::Folder { .. } | OpenError::Read { .. } => {
            "check the path and its permissions, or leave `data` out"
        }
        OpenError::Thread { .. } => "is the number of threads limited?",
        OpenError::Taken { .. } | OpenError::Version { .. } | OpenError::TooMany { .. } => {
            return Failure::of(&error);
        }
    };
    Failure::of(&error).help(help)
}
