//! The rules that the demo runs: those of `rules/`, built into the binary.

macro_rules! rule {
    ($stem:literal) => {
        (
            concat!($stem, ".betrace"),
            include_str!(concat!("../../../rules/", $stem, ".betrace")),
        )
    };
}

/// A rule file: its name and its source.
pub const RULES: &[(&str, &str)] = &[
    rule!("payment-fraud-check"),
    rule!("charge-retry-storm"),
    rule!("n-plus-one-queries"),
    rule!("missing-ledger-entry"),
    rule!("card-number-in-telemetry"),
    rule!("swallowed-payment-error"),
    rule!("slow-query"),
    rule!("admin-needs-authorisation"),
    rule!("eu-data-stays-in-eu"),
    rule!("sold-out-items"),
    rule!("checkout-budget"),
];
