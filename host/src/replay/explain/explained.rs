//! What is said of a rule and a trace, as data: what the API answers with and what the terminal draws.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::assemble::shard::Whereabouts;
use crate::assemble::trace::Keeping;
use crate::engine::Rule;
use crate::signal::stamp::hex;
use crate::signal::{Certainty, Evidence};

/// What a rule makes of a trace, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub rule: String,
    /// The version that explains: the one in force now.
    pub version: String,
    /// Why that is not the version in the rule's file, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<String>,
    pub trace_id: String,
    pub outcome: Outcome,
    pub whereabouts: Where,
    /// None where the trace is not at hand.
    pub explained: Option<Explained>,
}

/// What a rule makes of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It fires.
    Fires,
    /// It was asked and does not fire.
    Quiet,
    /// It was not asked, as the trace lacks something that it needs.
    NotAsked,
    /// It faulted, or the trace is too large for it.
    Failed,
    /// The trace's spans are not at hand.
    Unknown,
}

/// Where the trace is, as far as the host knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Where {
    /// No span of it came, or that was forgotten since.
    Never,
    /// Its spans are being gathered, and no rule has been asked.
    Open { spans: u64, age_ns: u64 },
    /// It was judged.
    Judged {
        completion: String,
        generation: u64,
        /// Spans that came too late to be judged.
        late: u32,
        ago_ns: u64,
        ring: InRing,
    },
    /// It comes from a recording.
    Recorded,
    /// The host did not say.
    Unknown,
}

/// What became of a judged trace in the ring of recent traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InRing {
    /// It is there.
    Kept,
    /// It was there, and went for others.
    Evicted,
    /// It was never there: the newest would have been replaced too fast.
    Skipped,
    /// It was never there: it is larger than all that the ring may hold.
    TooLarge,
    /// It was never there, as an earlier trace of its id was.
    Repeated,
    /// It was never there: none of its kind are kept.
    Off,
}

/// A trace that is at hand, as a rule sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explained {
    pub trace: TraceView,
    pub outcome: Outcome,
    /// The rule broke it when it was judged; null where nothing judged it.
    pub fired_then: Option<bool>,
    /// Why, in words, the deciding one first.
    pub reasons: Vec<Reason>,
    /// Of the signal, where it fires.
    pub certainty: Option<Certainty>,
    /// The rule's clauses.
    pub bodies: Vec<Body>,
    /// What the rule needs to be asked: of each group at least one.
    pub triggers: Vec<TriggerGroup>,
    /// In the order in which they are written; a part's parent comes before it.
    pub parts: Vec<PartView>,
    /// Parts that are not listed.
    pub parts_more: u64,
    /// Why there are no parts.
    pub parts_missing: Option<String>,
    /// What went wrong with the rule.
    pub fault: Option<String>,
}

/// What is known of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceView {
    pub root_service: Option<String>,
    pub root_name: Option<String>,
    pub spans: u64,
    pub extent_ns: u64,
    /// What completed it.
    pub completion: String,
    pub missing_parents: u32,
    /// Some span says that it dropped attributes, events or links.
    pub dropped: bool,
    /// The rule set that judged it; 0 where none has.
    pub generation: u64,
    /// In Unix nanoseconds; 0 where nothing judged it.
    pub judged_at: u64,
}

/// Why, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// The part that it is about: its `index`.
    pub part: Option<u32>,
    pub text: String,
}

/// A clause of the rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Body {
    pub kind: String,
    pub text: String,
    pub broken: bool,
}

/// Triggers of which one is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggerGroup {
    pub met: bool,
    pub triggers: Vec<TriggerView>,
    /// Triggers that are not listed.
    pub more: u64,
}

/// Something that a trace must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggerView {
    /// Such as "a span `payment.charge_card`".
    pub text: String,
    pub met: bool,
}

/// A part of the rule, and what it is for the trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PartView {
    pub index: u32,
    pub parent: Option<u32>,
    pub depth: u32,
    /// As in the WIT interface `explanation`: `when`, `both`, `present`, `base`, `filter`.
    pub kind: String,
    pub text: String,
    /// Of a condition its value; of what is asked of spans, whether some span passes.
    pub holds: bool,
    /// The verdict hangs on it.
    pub decides: bool,
    /// Spans behind it.
    pub count: u32,
    /// Of counts of two sets, those of the second; of `every`, all spans that were asked. Null of other parts.
    pub others: Option<u32>,
    /// The first of the spans behind it; where a deciding part has none, the first of those that were asked.
    pub spans: Vec<Evidence>,
    /// The spans did not pass.
    pub failed: bool,
    /// What the compared fields were in the spans that were asked; only of parts that decide.
    pub fields: Vec<Field>,
}

/// What a compared field was in the spans that were asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Field {
    pub field: String,
    /// `span`, `event` or `link`.
    pub item: String,
    /// Items that were looked at.
    pub of: u64,
    pub missing: u64,
    /// Values of a type that the rule does not compare with.
    pub unlike: Vec<TypeMet>,
    /// The first distinct ones of the others.
    #[schema(value_type = Vec<Object>)]
    pub values: Vec<serde_json::Value>,
    /// Distinct ones that are not listed.
    pub more: bool,
}

/// Values of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TypeMet {
    /// `text`, `int`.
    pub was: String,
    pub times: u64,
}

impl Explanation {
    /// What is said of a trace. `whereabouts` are what its shard says, where there is one that was asked.
    pub fn new(
        rule: &Rule,
        trace_id: [u8; 16],
        whereabouts: Where,
        explained: Option<Explained>,
    ) -> Explanation {
        Explanation {
            rule: rule.id.clone(),
            version: rule.version.clone(),
            last_good: None,
            trace_id: hex(&trace_id),
            outcome: explained
                .as_ref()
                .map_or(Outcome::Unknown, |explained| explained.outcome),
            whereabouts,
            explained,
        }
    }
}

impl InRing {
    /// Of what was said when it was judged, and whether the ring has it now.
    fn of(keeping: Keeping, at_hand: bool) -> InRing {
        match keeping {
            Keeping::Kept if at_hand => InRing::Kept,
            Keeping::Kept => InRing::Evicted,
            Keeping::Skipped => InRing::Skipped,
            Keeping::TooLarge => InRing::TooLarge,
            Keeping::Repeated => InRing::Repeated,
            Keeping::Off => InRing::Off,
        }
    }
}

impl Where {
    /// Of what its shard says, where one answered, and whether the ring had it after that.
    pub fn of(whereabouts: Option<Whereabouts>, at_hand: bool) -> Where {
        let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        match whereabouts {
            None => Where::Unknown,
            Some(Whereabouts::Never) => Where::Never,
            Some(Whereabouts::Open { spans, age }) => Where::Open {
                spans,
                age_ns: ns(age),
            },
            Some(Whereabouts::Judged {
                completion,
                generation,
                late,
                keeping,
                ago,
            }) => Where::Judged {
                completion: completion.name().to_owned(),
                generation,
                late,
                ago_ns: ns(ago),
                ring: InRing::of(keeping, at_hand),
            },
        }
    }
}
