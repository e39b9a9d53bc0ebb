//! The web shop as it should be: what its customers do, and which services that sets in motion.
//!
//! Every trace that comes from here keeps every rule of [`super::rules`]; [`super::faults`] bends them.

use super::call::Call;
use super::random::Random;

/// A service and the cloud region that it runs in.
pub struct Service {
    pub name: &'static str,
    pub region: &'static str,
    pub language: &'static str,
}

/// All that run. Only `recommendation` is outside the EU, so EU customers' data must not reach it.
pub const SERVICES: &[Service] = &[
    Service {
        name: "frontend",
        region: "eu-central-1",
        language: "nodejs",
    },
    Service {
        name: "auth",
        region: "eu-central-1",
        language: "go",
    },
    Service {
        name: "catalogue",
        region: "eu-central-1",
        language: "go",
    },
    Service {
        name: "recommendation",
        region: "us-east-1",
        language: "python",
    },
    Service {
        name: "cart",
        region: "eu-central-1",
        language: "java",
    },
    Service {
        name: "pricing",
        region: "eu-central-1",
        language: "rust",
    },
    Service {
        name: "checkout",
        region: "eu-central-1",
        language: "go",
    },
    Service {
        name: "payment",
        region: "eu-central-1",
        language: "java",
    },
    Service {
        name: "fraud",
        region: "eu-central-1",
        language: "python",
    },
    Service {
        name: "inventory",
        region: "eu-central-1",
        language: "java",
    },
    Service {
        name: "ledger",
        region: "eu-central-1",
        language: "rust",
    },
    Service {
        name: "shipping",
        region: "eu-central-1",
        language: "ruby",
    },
    Service {
        name: "email",
        region: "eu-central-1",
        language: "nodejs",
    },
    Service {
        name: "admin",
        region: "eu-central-1",
        language: "nodejs",
    },
];

/// Charges above this need a fraud check.
pub const FRAUD_CHECK_ABOVE: f64 = 1_000.0;

/// Who buys what, for how much.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub id: i64,
    pub customer: i64,
    pub eu: bool,
    pub quantity: i64,
    pub amount: f64,
    pub currency: &'static str,
}

impl Order {
    /// An everyday one, mostly below the fraud check's limit.
    pub fn random(random: &mut Random) -> Order {
        let euros = if random.one_in(6) {
            random.within(1_001..=4_000)
        } else {
            random.within(9..=900)
        };
        Order {
            id: random.within(100_000..=999_999) as i64,
            customer: random.within(1_000..=9_999) as i64,
            eu: !random.one_in(3),
            quantity: random.within(1..=4) as i64,
            amount: euros as f64 + random.within(0..=99) as f64 / 100.0,
            currency: random.pick(&["EUR", "USD", "GBP"]),
        }
    }

    /// One that needs a fraud check.
    pub fn large(random: &mut Random) -> Order {
        let amount = FRAUD_CHECK_ABOVE + random.within(200..=4_000) as f64 + 0.5;
        Order {
            amount,
            ..Order::random(random)
        }
    }

    fn region(&self) -> &'static str {
        if self.eu { "eu" } else { "us" }
    }
}

/// One of the things that customers and staff do, in their usual proportion.
pub fn visit(random: &mut Random) -> Call {
    let order = Order::random(random);
    match random.within(0..=19) {
        0..=9 => browse(&order),
        10..=13 => add_to_cart(&order),
        14 => declined_checkout(&order),
        15 => admin_orders(&order),
        _ => checkout(&order, &Steps::correct(&order, random)),
    }
}

/// A product page. Recommendations come from outside the EU, so EU customers get none.
pub fn browse(order: &Order) -> Call {
    let product = Call::server("catalogue", "catalogue.get_product", 3_000)
        .int("product.id", order.id % 977)
        .then(product_query(9_000));
    let page = frontend("GET /product/{id}", "GET", order)
        .then(verify_token(order))
        .then(product);
    if order.eu {
        page
    } else {
        page.then(recommend(order).parallel())
    }
}

pub fn add_to_cart(order: &Order) -> Call {
    let stock =
        Call::server("inventory", "inventory.check_stock", 2_500).int("quantity", order.quantity);
    let add = Call::server("cart", "cart.add_item", 4_000)
        .int("cart.items", order.quantity)
        .then(stock)
        .then(Call::outside("cart", "SET cart", "redis.cart", 1_200).text("db.system", "redis"));
    frontend("POST /cart", "POST", order)
        .then(verify_token(order))
        .then(add)
        .ok()
}

/// What an admin sees; only after `auth` has allowed it.
pub fn admin_orders(order: &Order) -> Call {
    admin_page(
        order,
        Some(
            Call::server("auth", "auth.authorize", 3_000)
                .text("role", "admin")
                .text("decision", "allow"),
        ),
    )
}

/// The same, with that step or without.
pub fn admin_page(order: &Order, authorisation: Option<Call>) -> Call {
    let list = Call::server("admin", "admin.list_orders", 6_000)
        .int("orders.limit", 50)
        .then(Call::query(
            "admin",
            "SELECT orders",
            "SELECT * FROM orders ORDER BY id DESC LIMIT 50",
            45_000,
        ));
    frontend("GET /admin/orders", "GET", order)
        .then(verify_token(order))
        .then_all(authorisation)
        .then(list)
        .ok()
}

/// The parts of a checkout that a fault may replace or leave out.
pub struct Steps {
    pub cart: Call,
    pub fraud: Option<Call>,
    pub processor: Vec<Call>,
    pub charge_failed: bool,
    pub ledger: Option<Call>,
    pub reserve: Call,
    pub label: Option<Call>,
    pub confirmation: bool,
}

impl Steps {
    pub fn correct(order: &Order, random: &mut Random) -> Steps {
        let mut processor = vec![processor_call(order, 60_000).ok()];
        if random.one_in(8) {
            processor.insert(
                0,
                processor_call(order, 30_000).failed("503 from processor"),
            );
        }
        let lines = Call::query(
            "cart",
            "SELECT cart_items",
            "SELECT * FROM cart_items WHERE cart_id = $1",
            5_000,
        );
        Steps {
            cart: Call::server("cart", "cart.get_items", 3_000).then(lines),
            fraud: (order.amount > FRAUD_CHECK_ABOVE).then(|| fraud_check(order)),
            processor,
            charge_failed: false,
            ledger: Some(ledger_entry(order)),
            reserve: reserve(order, order.quantity + 12),
            label: Some(label(25_000)),
            confirmation: true,
        }
    }
}

/// From the customer's click to the order's confirmation.
pub fn checkout(order: &Order, steps: &Steps) -> Call {
    let refused = steps.charge_failed && !steps.confirmation;
    let charge = Call::server("payment", "payment.charge_card", 8_000)
        .float("amount", order.amount)
        .text("currency", order.currency)
        .int("order.id", order.id)
        .then_all(steps.fraud.clone())
        .then_all(steps.processor.iter().cloned())
        .then_all(steps.ledger.clone());
    let charge = if steps.charge_failed {
        charge.failed("card declined")
    } else {
        charge.ok()
    };

    let mut place = Call::server("checkout", "checkout.place_order", 6_000)
        .int("order.id", order.id)
        .text("customer.region", order.region())
        .then(steps.cart.clone())
        .then(Call::server("pricing", "pricing.quote", 4_000).float("quote.total", order.amount))
        .then(steps.reserve.clone())
        .then(charge)
        .then_all(steps.label.clone().filter(|_| !refused));
    if steps.confirmation {
        let mail = Call::consume("email", "email.order_confirmation", 30_000)
            .int("order.id", order.id)
            .ok();
        place = place.then(Call::publish("checkout", "orders publish", "orders").then(mail));
    }
    let page = frontend("POST /checkout", "POST", order)
        .int("order.items", order.quantity)
        .then(verify_token(order));
    if refused {
        page.then(place.failed("payment failed"))
            .int("http.response.status_code", 402)
            .failed("payment failed")
    } else {
        page.then(place.ok())
            .int("http.response.status_code", 201)
            .ok()
    }
}

/// A card is refused, and the customer is told so: an error, and no broken rule.
fn declined_checkout(order: &Order) -> Call {
    let order = Order {
        amount: order.amount.min(FRAUD_CHECK_ABOVE),
        ..*order
    };
    let steps = Steps {
        processor: vec![processor_call(&order, 60_000).failed("402 from processor")],
        charge_failed: true,
        ledger: None,
        label: None,
        confirmation: false,
        ..Steps::correct(&order, &mut Random::new(order.id as u64))
    };
    checkout(&order, &steps)
}

pub fn frontend(name: &'static str, method: &str, order: &Order) -> Call {
    Call::server("frontend", name, 12_000)
        .text("http.request.method", method)
        .int("customer.id", order.customer)
}

pub fn verify_token(order: &Order) -> Call {
    Call::server("auth", "auth.verify_token", 2_000).int("user_id", order.customer)
}

pub fn recommend(order: &Order) -> Call {
    Call::server("recommendation", "recommendation.list", 22_000)
        .text("customer.region", order.region())
}

pub fn product_query(work_us: u64) -> Call {
    Call::query(
        "catalogue",
        "SELECT products",
        "SELECT * FROM products WHERE id = $1",
        work_us,
    )
}

pub fn fraud_check(order: &Order) -> Call {
    Call::server("fraud", "payment.fraud_check", 35_000)
        .float("amount", order.amount)
        .float("fraud.score", 0.07)
}

pub fn processor_call(order: &Order, work_us: u64) -> Call {
    Call::outside(
        "payment",
        "payment.call_processor",
        "api.processor.example",
        work_us,
    )
    .text("currency", order.currency)
}

pub fn ledger_entry(order: &Order) -> Call {
    let insert = Call::query(
        "ledger",
        "INSERT entries",
        "INSERT INTO entries VALUES ($1, $2, $3)",
        6_000,
    );
    Call::server("ledger", "ledger.record_entry", 3_000)
        .float("amount", order.amount)
        .then(insert)
}

pub fn reserve(order: &Order, available: i64) -> Call {
    Call::server("inventory", "inventory.reserve", 5_000)
        .int("quantity", order.quantity)
        .int("available", available)
}

pub fn label(work_us: u64) -> Call {
    Call::server("shipping", "shipping.create_label", work_us).text("carrier", "parcel-post")
}
