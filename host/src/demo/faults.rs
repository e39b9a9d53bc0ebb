//! The ways in which the shop goes wrong: each breaks one rule, and a test holds it to that.

use super::call::Call;
use super::random::Random;
use super::shop::{self, FRAUD_CHECK_ABOVE, Order, Steps};

/// A fault: what it is, and the id of the rule that it breaks.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub what: &'static str,
    pub breaks: &'static str,
    story: fn(&mut Random) -> Call,
}

impl Fault {
    /// A trace in which it happens.
    pub fn happen(&self, random: &mut Random) -> Call {
        (self.story)(random)
    }
}

/// All faults, in the order in which the demo shows them.
pub const FAULTS: &[Fault] = &[
    Fault {
        what: "a large charge skips the fraud check",
        breaks: "payment-fraud-check",
        story: no_fraud_check,
    },
    Fault {
        what: "a page loads its products one by one",
        breaks: "n-plus-one-queries",
        story: n_plus_one,
    },
    Fault {
        what: "an admin page opens to anybody",
        breaks: "admin-needs-authorisation",
        story: open_admin,
    },
    Fault {
        what: "a failing card processor is hammered",
        breaks: "charge-retry-storm",
        story: retry_storm,
    },
    Fault {
        what: "a charge never reaches the books",
        breaks: "missing-ledger-entry",
        story: no_ledger,
    },
    Fault {
        what: "a card number ends up in a URL",
        breaks: "card-number-in-telemetry",
        story: card_in_url,
    },
    Fault {
        what: "a refused charge is confirmed as an order",
        breaks: "swallowed-payment-error",
        story: swallowed,
    },
    Fault {
        what: "a query scans a table",
        breaks: "slow-query",
        story: slow_query,
    },
    Fault {
        what: "an EU customer's data goes to the US",
        breaks: "eu-data-stays-in-eu",
        story: data_leaves_eu,
    },
    Fault {
        what: "a debug switch turns validation off",
        breaks: "payment-fraud-check",
        story: bypass,
    },
    Fault {
        what: "more is sold than there is",
        breaks: "sold-out-items",
        story: oversold,
    },
    Fault {
        what: "a carrier keeps customers waiting",
        breaks: "checkout-budget",
        story: slow_checkout,
    },
];

fn no_fraud_check(random: &mut Random) -> Call {
    let order = Order::large(random);
    shop::checkout(
        &order,
        &Steps {
            fraud: None,
            ..Steps::correct(&order, random)
        },
    )
}

fn bypass(random: &mut Random) -> Call {
    let order = Order::large(random);
    let mut steps = Steps::correct(&order, random);
    let switch = Call::step("payment", "payment.bypass_validation", 200)
        .text("reason", "debug flag left on");
    steps.processor.insert(0, switch);
    shop::checkout(&order, &steps)
}

fn n_plus_one(random: &mut Random) -> Call {
    let order = Order::random(random);
    let many = random.within(28..=44);
    let list = Call::server("catalogue", "catalogue.list_products", 9_000)
        .then_all((0..many).map(|_| shop::product_query(3_000)));
    shop::frontend("GET /category/{id}", "GET", &order)
        .then(shop::verify_token(&order))
        .then(list)
        .ok()
}

fn open_admin(random: &mut Random) -> Call {
    shop::admin_page(&Order::random(random), None)
}

fn retry_storm(random: &mut Random) -> Call {
    let order = small(random);
    let failures = random.within(5..=7);
    let mut processor: Vec<Call> = (0..failures)
        .map(|_| shop::processor_call(&order, 18_000).failed("503 from processor"))
        .collect();
    processor.push(shop::processor_call(&order, 60_000).ok());
    shop::checkout(
        &order,
        &Steps {
            processor,
            ..Steps::correct(&order, random)
        },
    )
}

fn no_ledger(random: &mut Random) -> Call {
    let order = Order::random(random);
    shop::checkout(
        &order,
        &Steps {
            ledger: None,
            ..Steps::correct(&order, random)
        },
    )
}

fn card_in_url(random: &mut Random) -> Call {
    let order = small(random);
    // A number of the test range that card schemes publish.
    let url = "https://api.processor.example/v1/charge?order=77&card=4111111111111111";
    let processor = vec![
        shop::processor_call(&order, 60_000)
            .text("url.full", url)
            .ok(),
    ];
    shop::checkout(
        &order,
        &Steps {
            processor,
            ..Steps::correct(&order, random)
        },
    )
}

fn swallowed(random: &mut Random) -> Call {
    let order = small(random);
    let steps = Steps {
        processor: vec![shop::processor_call(&order, 60_000).failed("402 from processor")],
        charge_failed: true,
        ledger: None,
        ..Steps::correct(&order, random)
    };
    shop::checkout(&order, &steps)
}

fn slow_query(random: &mut Random) -> Call {
    let order = Order::random(random);
    let statement = "SELECT * FROM products WHERE lower(name) LIKE lower($1)";
    let search = Call::server("catalogue", "catalogue.search", 5_000)
        .text("search.text", "walking boots")
        .then(
            Call::query("catalogue", "SELECT products", statement, 780_000)
                .int("db.rows_examined", 1_840_112),
        );
    // Nobody signs in to search: with the check of a token, that one span would wait alone below a missing parent, as
    // behind a load balancer, and be taken for the whole trace.
    shop::frontend("GET /search", "GET", &order)
        .then(search)
        .ok()
}

fn data_leaves_eu(random: &mut Random) -> Call {
    let order = Order {
        eu: true,
        ..Order::random(random)
    };
    shop::browse(&order).then(shop::recommend(&order).parallel())
}

fn oversold(random: &mut Random) -> Call {
    let order = Order {
        quantity: 3,
        ..Order::random(random)
    };
    shop::checkout(
        &order,
        &Steps {
            reserve: shop::reserve(&order, 1),
            ..Steps::correct(&order, random)
        },
    )
}

fn slow_checkout(random: &mut Random) -> Call {
    let order = Order::random(random);
    shop::checkout(
        &order,
        &Steps {
            label: Some(shop::label(3_600_000)),
            ..Steps::correct(&order, random)
        },
    )
}

fn small(random: &mut Random) -> Order {
    let order = Order::random(random);
    Order {
        amount: order.amount.min(FRAUD_CHECK_ABOVE),
        ..order
    }
}
