//! Whether every span of every request came to the collector.

use std::collections::BTreeMap;

use crate::report::Table;

/// What became of the requests of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Requests that were answered.
    pub requests: usize,
    /// Those among them that have to have a span.
    pub sampled: usize,
    /// Spans that the collector counted.
    pub delivered: usize,
    /// Spans that the server knows to be lost.
    pub lost: usize,
}

impl Delivery {
    fn is_complete(&self) -> bool {
        self.delivered == self.sampled && self.lost == 0
    }
}

/// That of all arms, over all launches.
#[derive(Clone, Debug, Default)]
pub struct Deliveries {
    arms: BTreeMap<String, Delivery>,
}

impl Deliveries {
    /// What one launch of an arm came to.
    pub fn add(&mut self, arm: &str, of: Delivery) {
        let Delivery {
            requests,
            sampled,
            delivered,
            lost,
        } = of;
        let sum = self.arms.entry(arm.to_owned()).or_default();
        sum.requests += requests;
        sum.sampled += sampled;
        sum.delivered += delivered;
        sum.lost += lost;
    }

    /// What a collector counted.
    pub fn delivered(&mut self, spans: &BTreeMap<String, usize>) {
        for (arm, spans) in spans {
            self.arms.entry(arm.clone()).or_default().delivered += spans;
        }
    }

    /// Prints it. Whether no span was lost, and none came twice.
    pub fn report(&self, markdown: bool) -> bool {
        println!("\nSpans:\n");
        let mut table = Table::new(["arm", "requests", "sampled", "delivered", "lost", ""]);
        for (arm, delivery) in &self.arms {
            table.row([
                arm.clone(),
                delivery.requests.to_string(),
                delivery.sampled.to_string(),
                delivery.delivered.to_string(),
                delivery.lost.to_string(),
                if delivery.is_complete() { "" } else { "wrong" }.to_owned(),
            ]);
        }
        table.print(markdown);
        let complete = self.arms.values().all(Delivery::is_complete);
        if !complete {
            println!("\nNot every span came to the collector: no figure counts.");
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_complete_if_each_sampled_request_has_a_span_at_the_collector() {
        let launch = Delivery {
            requests: 20,
            sampled: 10,
            ..Delivery::default()
        };
        let report = |delivered: usize, lost: usize| {
            let mut deliveries = Deliveries::default();
            deliveries.add("arm", Delivery { lost, ..launch });
            deliveries.add("arm", launch);
            deliveries.delivered(&BTreeMap::from([("arm".to_owned(), delivered)]));
            deliveries.report(false)
        };
        assert!(report(20, 0));
        assert!(!report(19, 0), "one is missing");
        assert!(!report(21, 0), "one came twice");
        assert!(!report(20, 1), "one was lost");
    }
}
