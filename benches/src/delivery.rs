//! Checks that every span of every request reached the collector.

use std::collections::BTreeMap;

use crate::report::Table;

/// The spans of the requests of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Requests with a response.
    pub requests: usize,
    /// Sampled requests.
    pub sampled: usize,
    /// Spans that the collector counted.
    pub delivered: usize,
    /// Spans that the server counted as dropped.
    pub lost: usize,
}

impl Delivery {
    fn is_complete(&self) -> bool {
        self.delivered == self.sampled && self.lost == 0
    }
}

/// The deliveries of all arms, summed over all launches.
#[derive(Clone, Debug, Default)]
pub struct Deliveries {
    arms: BTreeMap<String, Delivery>,
}

impl Deliveries {
    /// Adds one launch of an arm.
    pub fn add(&mut self, arm: &str, delivery: Delivery) {
        let Delivery {
            requests,
            sampled,
            delivered,
            lost,
        } = delivery;
        let sum = self.arms.entry(arm.to_owned()).or_default();
        sum.requests += requests;
        sum.sampled += sampled;
        sum.delivered += delivered;
        sum.lost += lost;
    }

    /// Adds the counts of a collector.
    pub fn add_delivered(&mut self, spans: &BTreeMap<String, usize>) {
        for (arm, spans) in spans {
            self.arms.entry(arm.clone()).or_default().delivered += spans;
        }
    }

    /// Prints the table. Returns whether no span was lost or delivered twice.
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
            println!("\nNot every span reached the collector: the figures are invalid.");
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_complete_if_the_collector_has_one_span_for_each_sampled_request() {
        let launch = Delivery {
            requests: 20,
            sampled: 10,
            ..Delivery::default()
        };
        let report = |delivered: usize, lost: usize| {
            let mut deliveries = Deliveries::default();
            deliveries.add("arm", Delivery { lost, ..launch });
            deliveries.add("arm", launch);
            deliveries.add_delivered(&BTreeMap::from([("arm".to_owned(), delivered)]));
            deliveries.report(false)
        };
        assert!(report(20, 0));
        assert!(!report(19, 0), "one is missing");
        assert!(!report(21, 0), "one is delivered twice");
        assert!(!report(20, 1), "one is lost");
    }
}
