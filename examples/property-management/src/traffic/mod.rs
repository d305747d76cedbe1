//! Somebody who uses it all: customers with flats, strangers who look for one, and those who should
//! not be let in.

mod customer;
mod pace;
mod socket;

use std::{process::ExitCode, time::Duration};

use reqwest::{Client, Url};

pub(crate) use customer::Customer;
pub(crate) use pace::{Pace, Tally};

use crate::{
    BoxError,
    config::Variables,
    process::{self, Stop},
};

/// So many use it at the same time.
const CUSTOMERS: usize = 4;

/// Where the services are.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) api: Url,
    pub(crate) reality: Url,
}

/// Drives traffic through all routes: `API_URL` and `REALITY_URL` say where, `TRAFFIC_SECONDS` for
/// how long (60), `TRAFFIC_RATE` how many requests there are in a second (20).
pub fn traffic() -> ExitCode {
    process::run("traffic", async |process| {
        let variables = Variables::of_process();
        let places = Places {
            api: variables.url("API_URL", "http://127.0.0.1:8080")?,
            reality: variables.url("REALITY_URL", "http://127.0.0.1:8081")?,
        };
        let seconds = variables.number("TRAFFIC_SECONDS", 60)?;
        let rate = variables.number("TRAFFIC_RATE", 20)?;
        let pace = Pace::new(rate, Duration::from_secs(u64::from(seconds)));
        let tally = drive(&places, &pace, &process.stop).await?;
        println!("{tally}");
        if tally.answered() == 0 {
            return Err("nobody answered".into());
        }
        Ok(())
    })
}

/// Lets customers do what they do until the time is over.
pub(crate) async fn drive(places: &Places, pace: &Pace, stop: &Stop) -> Result<Tally, BoxError> {
    let client = Client::builder().timeout(Duration::from_secs(40)).build()?;
    let client = reqwest_middleware::ClientBuilder::new(client).build();
    let customers = (0..CUSTOMERS).map(|number| {
        let customer = Customer::new(client.clone(), places.clone(), pace.clone(), number);
        tokio::spawn(customer.live())
    });
    let customers: Vec<_> = customers.collect();
    let stops = customers.iter().map(tokio::task::JoinHandle::abort_handle);
    let stops: Vec<_> = stops.collect();
    let all = async {
        for customer in customers {
            let _ = customer.await;
        }
    };
    tokio::select! {
        () = all => {}
        () = stop.asked() => stops.iter().for_each(tokio::task::AbortHandle::abort),
    }
    Ok(pace.tally())
}
