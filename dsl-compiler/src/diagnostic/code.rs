//! All diagnostic codes. A code keeps its number and its meaning for good; a new mistake gets a new number.
//!
//! `E01xx` bytes, words and limits; `E02xx` the shape of files and rules; `E03xx` names and types; `E04xx` parts of the
//! language that are not built yet; `W05xx` warnings.

use super::Level;

macro_rules! codes {
    ($($name:ident $text:literal $explanation:literal;)*) => {
        /// What kind of mistake a diagnostic tells.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $explanation] $name,)*
        }

        impl Code {
            /// Every code there is, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// `E0301`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// What it means, in a line.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$name => $explanation,)* }
            }
        }
    };
}

codes! {
    InvalidUtf8 "E0101" "The file is not UTF-8.";
    UnexpectedCharacter "E0102" "A character that has no place outside of quotes, or a control character.";
    UnterminatedText "E0103" "Quoted text does not end on its line.";
    UnknownEscape "E0104" "A backslash in quoted text is followed by something that it does not escape.";
    MalformedNumber "E0105" "Neither a number nor a duration, though it starts like one.";
    NumberOutOfRange "E0106" "A number or duration that does not fit 64 bits, or a duration finer than a nanosecond.";
    FileTooLarge "E0107" "The file is larger than a rule file may be.";
    RuleTooLarge "E0108" "The rule is larger than 64 KiB.";
    NestingTooDeep "E0109" "Parentheses, lists and `not` are nested deeper than 100.";
    TooManyErrors "E0110" "More errors than are told at once.";
    EmptyFile "E0111" "The file holds no rule.";
    IdTooLong "E0112" "A rule's id is longer than 128 bytes.";
    NotEmitted "E0113" "The rule is right and could not be written as a component: a defect of the compiler.";
    RuleTooWide "E0114" "The rule has more clauses, fields, texts or tags than one rule may, or a tag that is too long.";

    Unexpected "E0201" "Something else is expected here.";
    Unclosed "E0202" "A bracket is opened and never closed.";
    UnknownOperator "E0203" "An operator of another language.";
    ChainedComparison "E0204" "Comparisons do not chain.";
    ReservedWord "E0205" "A reserved word where a name is expected.";
    MisplacedWildcard "E0206" "A star stands anywhere but after a name's last dot.";
    MixedFile "E0207" "A file holds one bare body or rule declarations, not both.";
    MissingBody "E0208" "A rule says nothing that could be true or false.";
    SecondBody "E0209" "A rule has bodies of two kinds, or two where one is allowed.";
    SecondWhen "E0210" "A rule has more than one `when`.";
    ClauseWithoutWhen "E0211" "`always` or `never` without `when`.";
    WhenAlone "E0212" "`when` without `always` or `never`.";
    SecondSetting "E0213" "A setting is given twice.";
    UnknownSetting "E0214" "A rule has no such setting or body.";
    UnknownSeverity "E0215" "A severity is one of info, low, medium, high, critical.";
    InvalidId "E0216" "A rule's id is made of ASCII letters, digits, `_`, `-` and inner dots.";
    DuplicateRule "E0217" "Two rules of a file have one id.";
    NoSuchRule "E0218" "A rule is asked for that the file does not hold.";

    UnlikeTypes "E0301" "Two types that are never equal, less or greater: the comparison is always false.";
    SetCompared "E0302" "A set of spans is compared as if it were a value.";
    UnknownMember "E0303" "A span kind or status that does not exist.";
    AttributeAsDuration "E0304" "An attribute is never a duration.";
    DurationWithoutUnit "E0305" "A duration is compared with a plain number.";
    UnknownMethod "E0306" "There is no such method here.";
    UnknownFunction "E0307" "There is no such function here.";
    UnknownTraceName "E0308" "`trace.` and `spans.` are followed by something that they do not have.";
    WrongArguments "E0309" "Arguments that a method or function does not take.";
    NotACondition "E0310" "Neither true nor false.";
    NotASet "E0311" "A set of spans is expected.";
    NotAField "E0312" "A field is expected.";
    NothingToCompare "E0313" "Neither side of a comparison depends on the trace.";
    InvalidRegex "E0314" "A regular expression that does not parse.";
    RegexTooLarge "E0315" "A regular expression whose text or automaton is too large.";
    NotText "E0316" "Text operators take text.";
    EmptyList "E0317" "Nothing is in an empty list.";
    NotALiteral "E0318" "Only a literal can stand here.";
    AlwaysFalse "E0319" "A comparison that no value makes true.";
    NoOrder "E0320" "Values that are equal or not, but never less or greater.";
    WrongItem "E0321" "A field of spans inside `events` or `links`.";
    ConditionAsValue "E0322" "A condition is used as a value.";

    BindingsNotYet "E0401" "Names for spans (`as`, `v => p`, `v in set: p`) are not built yet.";
    OrderNotYet "E0402" "Order in time (`before`, `after`, `overlaps`, `then`) is not built yet.";
    StructureNotYet "E0403" "Structure (`child_of`, `inside` and their like) is not built yet.";
    ArithmeticNotYet "E0404" "Arithmetic is not built yet.";
    SetOperatorsNotYet "E0405" "`|` and `&` between sets are not built yet.";
    AggregatesNotYet "E0406" "Aggregates (`sum`, `p99` and their like) are not built yet.";
    NavigationNotYet "E0407" "Parts and neighbours of a set (`first`, `children` and their like) are not built yet.";
    GroupsNotYet "E0408" "Groups (`by`) are not built yet.";
    DeclarationsNotYet "E0409" "`let` and `list` are not built yet.";
    WindowsNotYet "E0410" "Windows over many traces (`over`) are not built yet.";
    FunctionsNotYet "E0411" "Functions on values and `icontains`, `imatches` are not built yet.";
    TraceFactsNotYet "E0412" "Facts of the trace (`trace.duration` and their like) are not built yet.";
    MessageExpressionsNotYet "E0413" "Expressions in messages are not built yet.";
    ItemCountsNotYet "E0414" "A count of events or links compares with a literal number alone, so far.";

    AllOverNothing "W0501" "`all` is true where there is nothing, so the rule signals there too.";
    AlwaysTrue "W0502" "A condition that is always true, or one that is written out as true or false.";
    WordIsText "W0503" "A bare word on the right of a comparison is text, though it reads like a field.";
    ItemsAsAttribute "W0504" "A dotted name is an attribute, though it reads like a field of events or links.";
    RepeatedElement "W0505" "A tag or an element of a list is given twice.";
    LooksLikeIntrinsic "W0506" "A name is an attribute, though it is nearly that of an intrinsic.";
    FieldNamesSpans "W0507" "A name is that of spans, though it is that of a field too.";
    WordIsNoLiteral "W0508" "A bare word is text, though it reads like a literal of another language.";
}

impl Code {
    /// A code's letter says it.
    pub fn level(self) -> Level {
        if self.as_str().starts_with('W') {
            Level::Warning
        } else {
            Level::Error
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_order() {
        assert!(
            Code::ALL
                .windows(2)
                .all(|pair| pair[0].as_str()[1..] < pair[1].as_str()[1..])
        );
    }
}
