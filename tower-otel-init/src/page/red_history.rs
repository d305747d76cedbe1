//! The metrics of the layers over the last five minutes.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::page::metric_family::{FAMILIES, Part, family_of};
use crate::page::red_row::{INTERVALS, RedRow, Totals};
use crate::sample::Sample;

/// The time between two points of a sparkline.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

/// The maximum number of rows. Further routes and hosts are only counted.
pub(crate) const MAX_ROWS: usize = 200;

/// The label of the overflow series of a recorder.
const RECORDER_OVERFLOW: &str = "otel_metric_overflow";
/// The label value of the overflow series of a layer.
const LAYER_OVERFLOW: &str = "overflow";

/// The index of the family, the route or host, and the method.
type RowKey = (usize, String, String);

/// Rows of counters, at the end of each of the last intervals.
#[derive(Debug)]
pub(crate) struct RedHistory {
    rows: BTreeMap<RowKey, RedRow>,
    /// The ends of the intervals. The first one is the start of the history.
    ends: VecDeque<Instant>,
    /// The end of the current interval.
    next_end: Instant,
    in_flight: [f64; FAMILIES.len()],
    hidden_rows: usize,
    overflowed: bool,
}

impl RedHistory {
    /// Starts the first interval.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            rows: BTreeMap::new(),
            ends: [now].into(),
            next_end: now + INTERVAL,
            in_flight: [0.0; FAMILIES.len()],
            hidden_rows: 0,
            overflowed: false,
        }
    }

    /// Reads the metrics from the text format.
    pub(crate) fn read(&mut self, text: &str, now: Instant) {
        let mut totals: BTreeMap<RowKey, Totals> = BTreeMap::new();
        let mut in_flight: BTreeMap<RowKey, f64> = BTreeMap::new();
        self.overflowed = false;
        for line in text.lines() {
            self.overflowed |= line.contains(RECORDER_OVERFLOW);
            let Some(sample) = Sample::parse(line, |name| family_of(name).is_some()) else {
                continue;
            };
            let Some((index, family)) = family_of(sample.name) else {
                continue;
            };
            let Some(part) = family.part(&sample) else {
                continue;
            };
            let (method, group) = family.key(&sample);
            if part == Part::InFlight {
                *in_flight.entry((index, group, method)).or_default() += sample.value;
                continue;
            }
            self.overflowed |= group == LAYER_OVERFLOW;
            let row = totals.entry((index, group, method)).or_default();
            match part {
                Part::Requests { failed } => {
                    row.requests += sample.value;
                    row.errors += if failed { sample.value } else { 0.0 };
                }
                Part::Bucket => {
                    if let Ok(bound) = sample.label("le").parse() {
                        row.add_bucket(bound, sample.value);
                    }
                }
                Part::Aborted => row.aborted += sample.value,
                Part::InFlight => {}
            }
        }
        self.update(totals, now);
        self.set_in_flight(&in_flight);
    }

    /// Sets the requests in flight of each family, and of each row with the labels of a gauge. A gauge without a method belongs
    /// to a row if no other row has the same route or host.
    fn set_in_flight(&mut self, gauges: &BTreeMap<RowKey, f64>) {
        self.in_flight = [0.0; FAMILIES.len()];
        for ((index, ..), requests) in gauges {
            if let Some(sum) = self.in_flight.get_mut(*index) {
                *sum += requests;
            }
        }
        let mut methods: BTreeMap<(usize, String), usize> = BTreeMap::new();
        for (index, group, _) in self.rows.keys() {
            *methods.entry((*index, group.clone())).or_default() += 1;
        }
        for ((index, group, method), row) in &mut self.rows {
            let own = gauges.get(&(*index, group.clone(), method.clone()));
            // The host may have another row that is not shown.
            let is_only =
                self.hidden_rows == 0 && methods.get(&(*index, group.clone())) == Some(&1);
            let of_group = || gauges.get(&(*index, group.clone(), String::new()));
            let in_flight = own.or_else(|| of_group().filter(|_| is_only));
            row.set_in_flight(in_flight.copied());
        }
    }

    fn update(&mut self, totals: BTreeMap<RowKey, Totals>, now: Instant) {
        self.hidden_rows = 0;
        for (key, totals) in totals {
            if !self.rows.contains_key(&key) && self.rows.len() >= MAX_ROWS {
                self.hidden_rows += 1;
                continue;
            }
            let points = self.ends.len();
            let row = self.rows.entry(key).or_insert_with(|| RedRow::new(points));
            row.set_latest(totals);
        }
        let ended = now.saturating_duration_since(self.next_end);
        if ended.as_secs() > INTERVAL.as_secs() * INTERVALS as u64 {
            // After a pause, such as sleep of the machine, the history starts again.
            self.ends = [now].into();
            self.rows.values_mut().for_each(RedRow::restart);
            self.next_end = now + INTERVAL;
        }
        while now >= self.next_end {
            self.ends.push_back(self.next_end);
            while self.ends.len() > INTERVALS {
                self.ends.pop_front();
            }
            self.rows.values_mut().for_each(RedRow::end_interval);
            self.next_end += INTERVAL;
        }
    }

    /// Returns a table for each family that has rows.
    pub(crate) fn json(&self, now: Instant) -> Value {
        let start = self.ends.front().copied().unwrap_or(now);
        let seconds = now.saturating_duration_since(start).as_secs_f64();
        let tables = FAMILIES.iter().enumerate().zip(self.in_flight);
        let tables = tables.filter_map(|((index, family), in_flight)| {
            let rows = self.rows.iter().filter(|((of, ..), _)| *of == index);
            let rows: Vec<Value> = rows
                .map(|((_, group, method), row)| {
                    let mut json = row.json(seconds);
                    if let Value::Object(json) = &mut json {
                        json.insert("group".to_owned(), group.as_str().into());
                        json.insert("method".to_owned(), method.as_str().into());
                    }
                    json
                })
                .collect();
            let table = json!({
                "side": family.side,
                "protocol": family.protocol,
                "in_flight": in_flight,
                "rows": rows,
            });
            (!rows.is_empty()).then_some(table)
        });
        json!({
            "tables": tables.collect::<Vec<_>>(),
            "seconds": seconds,
            "hidden_rows": self.hidden_rows,
            "overflowed": self.overflowed,
        })
    }
}

#[cfg(test)]
#[path = "red_history_tests.rs"]
mod tests;
