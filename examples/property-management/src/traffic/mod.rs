//! Simulated customers that use all routes, with valid, anonymous and invalid requests.

mod customer;
mod pacer;
mod socket;

use std::{process::ExitCode, time::Duration};

use reqwest::{Client, Url};

pub(crate) use customer::Customer;
pub(crate) use pacer::{Pacer, StatusCounts};

use crate::{
    BoxError,
    config::Variables,
    process::{self, Shutdown},
};

/// The number of concurrent customers.
const CUSTOMERS: usize = 4;

/// The URLs of the services.
#[derive(Clone)]
pub(crate) struct ServiceUrls {
    pub(crate) api: Url,
    pub(crate) reality: Url,
}

/// Sends requests to all routes of `API_URL` and `REALITY_URL`, for `TRAFFIC_SECONDS` (default: 60)
/// at `TRAFFIC_RATE` requests per second (default: 20).
pub fn traffic() -> ExitCode {
    process::run("traffic", async |process| {
        let variables = Variables::from_env();
        let urls = ServiceUrls {
            api: variables.url("API_URL", "http://127.0.0.1:8080")?,
            reality: variables.url("REALITY_URL", "http://127.0.0.1:8081")?,
        };
        let seconds = variables.number("TRAFFIC_SECONDS", 60)?;
        let rate = variables.number("TRAFFIC_RATE", 20)?;
        let pacer = Pacer::new(rate, Duration::from_secs(u64::from(seconds)));
        let status_counts = run_customers(&urls, &pacer, &process.shutdown).await?;
        println!("{status_counts}");
        if status_counts.responses() == 0 {
            return Err("no response received".into());
        }
        Ok(())
    })
}

/// Runs the customers until the time is over or a shutdown is requested.
pub(crate) async fn run_customers(
    urls: &ServiceUrls,
    pacer: &Pacer,
    shutdown: &Shutdown,
) -> Result<StatusCounts, BoxError> {
    let client = Client::builder().timeout(Duration::from_secs(40)).build()?;
    let client = reqwest_middleware::ClientBuilder::new(client).build();
    let customers = (0..CUSTOMERS).map(|number| {
        let customer = Customer::new(client.clone(), urls.clone(), pacer.clone(), number);
        tokio::spawn(customer.run())
    });
    let customers: Vec<_> = customers.collect();
    let aborts = customers.iter().map(tokio::task::JoinHandle::abort_handle);
    let aborts: Vec<_> = aborts.collect();
    let all = async {
        for customer in customers {
            let _ = customer.await;
        }
    };
    tokio::select! {
        () = all => {}
        () = shutdown.wait() => aborts.iter().for_each(tokio::task::AbortHandle::abort),
    }
    Ok(pacer.status_counts())
}
