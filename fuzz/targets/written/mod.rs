//! A manifest and an answer as choices make them: as they lie in memory (canonical ABI), and as the host should read them.

use betrace::columns::projection::{ColumnKey, Intrinsic, Place, Source, Table};
use betrace::engine::Manifest;
use betrace::engine::manifest::{
    ABI, CLAUSES, COLUMNS, CONSTANT_BYTES, CONSTANTS, Clause, ClauseKind, Compared, ID_BYTES,
    KEY_BYTES, RuleColumn, Severity, TAGS, TEXT_BYTES, TRIGGERS, Trigger,
};

use crate::guests::{ANSWER, Image};
use crate::rules_support::WORDS;
use crate::soup::Choices;

/// Where guests have theirs.
pub const MANIFEST: u32 = 64 << 10;

/// Memory that nobody writes: lists of as many zeros as one likes.
const ZEROS: u32 = 2 << 20;

use Intrinsic::*;

/// In the order of `wit/rule.wit`, as all below.
const INTRINSICS: [Intrinsic; 20] = [
    Name,
    Service,
    StatusMessage,
    TraceId,
    SpanId,
    ParentId,
    Parent,
    SubtreeEnd,
    Depth,
    ChildCount,
    Events,
    Links,
    Start,
    End,
    Duration,
    SelfTime,
    Time,
    Kind,
    Status,
    Flags,
];
const PLACES: [Place; 4] = [Place::Any, Place::Span, Place::Resource, Place::Scope];
const TABLES: [Table; 3] = [Table::Spans, Table::Events, Table::Links];
const KINDS: [ClauseKind; 4] = [
    ClauseKind::Detect,
    ClauseKind::Expect,
    ClauseKind::Always,
    ClauseKind::Never,
];

pub struct Written {
    pub manifest_image: Vec<u8>,
    pub answer_image: Vec<u8>,
    abi: u32,
    /// None where something is no value of its type.
    pub manifest: Option<Manifest>,
}

impl Written {
    pub fn new(choices: &mut Choices<'_>) -> Written {
        let mut writer = Writer {
            choices,
            image: Image::new(MANIFEST, 72),
            broken: false,
        };
        let abi = if writer.choices.rarely(64) { 2 } else { ABI };
        writer.image.number(0, abi);
        let manifest = writer.manifest();
        let manifest = (!writer.broken).then_some(manifest);
        let manifest_image = writer.image.bytes;
        Written {
            manifest_image,
            answer_image: answer(choices),
            abi,
            manifest,
        }
    }

    /// What `Manifest` says of its bounds, said once more.
    pub fn is_valid(&self) -> bool {
        let Some(manifest) = &self.manifest else {
            return false;
        };
        let within = |text: &String, most: usize| text.len() <= most;
        let mut triggers = manifest.triggers.iter().flatten();
        let clauses = &manifest.clauses;
        self.abi == ABI
            && !manifest.id.trim().is_empty()
            && !manifest.id.contains(char::is_control)
            && within(&manifest.id, ID_BYTES)
            && within(&manifest.description, TEXT_BYTES)
            && within(&manifest.message, TEXT_BYTES)
            && manifest.tags.len() <= TAGS
            && manifest.tags.iter().all(|tag| within(tag, ID_BYTES))
            && (1..=CLAUSES).contains(&clauses.len())
            && clauses
                .iter()
                .all(|clause| within(&clause.text, TEXT_BYTES))
            && manifest.columns.len() <= COLUMNS
            && manifest.columns.iter().all(is_column)
            && manifest.constants.len() <= CONSTANTS
            && manifest
                .constants
                .iter()
                .all(|text| within(text, CONSTANT_BYTES))
            && manifest.triggers.iter().all(|group| !group.is_empty())
            && triggers.clone().count() <= TRIGGERS
            && triggers.all(|trigger| match trigger {
                Trigger::Name(text) | Trigger::NamePrefix(text) | Trigger::Service(text) => {
                    within(text, CONSTANT_BYTES)
                }
                Trigger::Attribute { key, .. } => within(key, KEY_BYTES),
            })
    }
}

fn is_column(column: &RuleColumn) -> bool {
    let table = column.key.table;
    match &column.key.source {
        Source::Intrinsic(intrinsic) => {
            let texts = [Name, Service, StatusMessage, TraceId, SpanId, ParentId];
            table.has(*intrinsic) && (!column.text || texts.contains(intrinsic))
        }
        Source::Attribute { place, key } => {
            key.len() <= KEY_BYTES && (table == Table::Spans || *place == Place::Span)
        }
    }
}

struct Writer<'a, 'b> {
    choices: &'a mut Choices<'b>,
    image: Image,
    /// Something is no value of its type.
    broken: bool,
}

impl Writer<'_, '_> {
    fn manifest(&mut self) -> Manifest {
        Manifest {
            id: self.text(4),
            description: self.text(12),
            severity: self.one(20, &Severity::ALL),
            tags: self.list(24, (8, 3), (TAGS, String::new()), Self::text),
            message: self.text(32),
            clauses: {
                let zero = Clause {
                    kind: ClauseKind::Detect,
                    text: String::new(),
                    stable: false,
                };
                self.list(40, (16, 4), (CLAUSES, zero), Self::clause)
            },
            columns: {
                let zero = RuleColumn {
                    key: ColumnKey::intrinsic(Table::Spans, Name),
                    text: false,
                    compared: Compared::default(),
                };
                self.list(48, (24, 6), (COLUMNS, zero), Self::column)
            },
            constants: self.list(56, (8, 6), (CONSTANTS, String::new()), Self::text),
            triggers: self.list(64, (8, 3), (TRIGGERS, Vec::new()), |writer, at| {
                let zero = Trigger::Name(String::new());
                writer.list(at, (16, 4), (TRIGGERS, zero), Self::trigger)
            }),
        }
    }

    fn clause(&mut self, at: usize) -> Clause {
        Clause {
            kind: self.one(at, &KINDS),
            text: self.text(at + 4),
            stable: self.bit(at + 12),
        }
    }

    /// `table` @0; `source`: which @4, then the intrinsic @8, or the place @8 and the key @12; `text` @20, `compared` @21.
    fn column(&mut self, at: usize) -> RuleColumn {
        let table = self.one(at, &TABLES);
        let source = if self.bit(at + 4) {
            Source::Attribute {
                place: self.one(at + 8, &PLACES),
                key: self.text(at + 12).into(),
            }
        } else {
            Source::Intrinsic(self.one(at + 8, &INTRINSICS))
        };
        let text = self.bit(at + 20);
        let types = self.choices.next() % 16;
        self.image.put(at + 21, &[types]);
        RuleColumn {
            key: ColumnKey { table, source },
            text,
            compared: Compared {
                boolean: types & 1 != 0,
                integer: types & 2 != 0,
                float: types & 4 != 0,
                text: types & 8 != 0,
            },
        }
    }

    /// Which @0; text @4, or the place @4 and the key @8.
    fn trigger(&mut self, at: usize) -> Trigger {
        match self.one(at, &[0, 1, 2, 3]) {
            0 => Trigger::Name(self.text(at + 4)),
            1 => Trigger::NamePrefix(self.text(at + 4)),
            2 => Trigger::Service(self.text(at + 4)),
            _ => Trigger::Attribute {
                place: self.one(at + 4, &PLACES),
                key: self.text(at + 8),
            },
        }
    }

    /// One of these; now and then none.
    fn one<T: Clone>(&mut self, at: usize, of: &[T]) -> T {
        let mut index = self.choices.next() as usize % of.len();
        if self.choices.rarely(128) {
            self.image.put(at, &[of.len() as u8]);
            self.broken = true;
            index = 0;
        } else {
            self.image.put(at, &[index as u8]);
        }
        of[index].clone()
    }

    fn bit(&mut self, at: usize) -> bool {
        let bit = self.choices.next() % 2;
        self.image.put(at, &[bit]);
        bit == 1
    }

    /// A list pointed to from `at`, of elements of some size, mostly of a few; now and then of as many zeros as are allowed, or
    /// one more.
    fn list<T: Clone>(
        &mut self,
        at: usize,
        (size, few): (usize, u8),
        (most, zero): (usize, T),
        element: impl Fn(&mut Self, usize) -> T,
    ) -> Vec<T> {
        if self.choices.rarely(64) {
            let count = most + usize::from(self.choices.next() % 2);
            self.zeros(at, count);
            return vec![zero; count];
        }
        let count = (self.choices.next() % (few + 1)) as usize;
        let start = self.image.list(at, count, size);
        (0..count)
            .map(|index| element(self, start + index * size))
            .collect()
    }

    /// A word; now and then one around a bound, or one that is not UTF-8.
    fn text(&mut self, at: usize) -> String {
        let choice = self.choices.next();
        let long = match choice {
            250 => ID_BYTES,
            251 => ID_BYTES + 1,
            252 => TEXT_BYTES,
            253 => TEXT_BYTES + 1,
            254 => {
                self.image.text(at, b"a\xff");
                self.broken = true;
                return String::new();
            }
            255 => {
                self.image.text(at, b"a\nb");
                return "a\nb".to_owned();
            }
            word => {
                let word = WORDS[word as usize % WORDS.len()];
                self.image.text(at, word.as_bytes());
                return word.to_owned();
            }
        };
        self.zeros(at, long);
        "\0".repeat(long)
    }

    fn zeros(&mut self, at: usize, count: usize) {
        self.image.number(at, ZEROS);
        self.image.number(at + 4, count as u32);
    }
}

/// An answer of `evaluate` that is nearly right: `result` with its list @4, findings of 28 bytes.
fn answer(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut image = Image::new(ANSWER, 12);
    image.put(0, &[u8::from(choices.rarely(32))]);
    let count = (choices.next() % 4) as usize;
    let at = image.list(4, count, 28);
    for at in (0..count).map(|index| at + index * 28) {
        image.number(at, u32::from(choices.next() % 6));
        image.number(at + 4, u32::from(choices.next() % 3));
        let rows = (choices.next() % 4) as usize;
        let list = image.list(at + 8, rows, 4);
        let first = choices.next() % 8;
        for row in 0..rows {
            image.number(list + row * 4, u32::from(first) + row as u32);
        }
        image.number(at + 16, u32::from(choices.next()));
        let values = (choices.next() % 3) as usize;
        let list = image.list(at + 20, values, 16);
        for value in (0..values).map(|index| list + index * 16) {
            image.put(value, &[choices.next() % 7]);
            let (place, len) = (ANSWER + u32::from(choices.next()), choices.next());
            image.number(value + 8, place);
            image.number(value + 12, u32::from(len % 8));
        }
    }
    image.bytes
}
