//! What a rule did wrong, as it is counted. A fault ends the rule's part of the batch and nothing else.

/// Kinds of faults, as counted per rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// It executed `unreachable`, divided by zero, read out of bounds, and the like.
    Trap,
    /// It ran past its deadline.
    Timeout,
    /// It trapped after it was refused more memory or a larger table.
    Memory,
    /// It used up its stack.
    Stack,
    /// `evaluate` returned an error.
    Error,
    /// It returned more than the host lifts: findings, evidence, or bytes.
    TooMuch,
    /// A trace, clause or span index that is not among those it was given, or not in order.
    Index,
    /// What it returned (or allocated for the host) is no value of its type: text that is not UTF-8, pointers outside its
    /// memory, an unknown variant.
    Invalid,
    /// No instance of it could be made.
    Start,
}

impl FaultKind {
    pub const ALL: [FaultKind; 9] = [
        FaultKind::Trap,
        FaultKind::Timeout,
        FaultKind::Memory,
        FaultKind::Stack,
        FaultKind::Error,
        FaultKind::TooMuch,
        FaultKind::Index,
        FaultKind::Invalid,
        FaultKind::Start,
    ];

    /// The word that metrics and logs use.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Trap => "trap",
            FaultKind::Timeout => "timeout",
            FaultKind::Memory => "memory",
            FaultKind::Stack => "stack",
            FaultKind::Error => "error",
            FaultKind::TooMuch => "too_much",
            FaultKind::Index => "index",
            FaultKind::Invalid => "invalid",
            FaultKind::Start => "start",
        }
    }
}

/// A fault, with what is known of its cause for the rule's author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.name())]
pub struct Fault {
    pub kind: FaultKind,
    pub message: String,
}

impl Fault {
    /// Bytes of a message that are kept: an author reads a few lines, and the rule chose the text.
    pub const MESSAGE_BYTES: usize = 1_024;

    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > Self::MESSAGE_BYTES {
            let cut = (0..=Self::MESSAGE_BYTES)
                .rev()
                .find(|&i| message.is_char_boundary(i))
                .unwrap_or(0);
            message.truncate(cut);
            message.push('…');
        }
        Self { kind, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let fault = Fault::new(FaultKind::Error, "é".repeat(1_000));
        assert_eq!(fault.message, format!("{}…", "é".repeat(512)));
        assert_eq!(
            Fault::new(FaultKind::Trap, "short").to_string(),
            "trap: short"
        );
    }
}
