//! The processes of the load test: services and a collector. Each process is this program with other arguments. The services
//! share one processor, and the client and the collector share the other one.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use axum::{Router, body::Bytes};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::{net::TcpListener, runtime};

use crate::{BoxError, api_server, jobs, model_stand_in, reality_server};

/// The argument that starts a process of the load test, followed by its name.
pub(crate) const RUN_FLAG: &str = "--run";

const COLLECTOR: &str = "collector";

/// The processors that the load test uses.
#[derive(Clone, Copy)]
pub(super) struct Processors {
    services: usize,
    /// The processor of the client and the collector. The client polls without sleeping, so services would be slow on it.
    client: usize,
}

impl Processors {
    /// Returns the first two processors that this process may use.
    pub(super) fn available() -> Result<Self, BoxError> {
        let set = sched_getaffinity(None)?;
        let mut available = (0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor));
        match (available.next(), available.next()) {
            (Some(services), Some(client)) => Ok(Self { services, client }),
            _ => Err("the load test needs two processors".into()),
        }
    }
}

/// Runs the service with this name.
pub(crate) fn run_service(name: &str) -> ExitCode {
    match name {
        "api-server" => api_server(),
        "reality-server" => reality_server(),
        "jobs" => jobs(),
        "model-stand-in" => model_stand_in(),
        COLLECTOR => match collect() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{COLLECTOR}: {error}");
                ExitCode::FAILURE
            }
        },
        other => {
            eprintln!("property-management: unknown service `{other}`");
            ExitCode::from(2)
        }
    }
}

/// Runs this thread, and the processes it starts, on one processor.
fn pin(processor: usize) -> Result<(), BoxError> {
    let mut processors = CpuSet::new();
    processors.set(processor);
    Ok(sched_setaffinity(None, &processors)?)
}

/// A running service. It is killed when it is dropped.
pub(super) struct Service(Child);

impl Service {
    /// Starts a service with only these variables.
    pub(super) fn start<'a>(
        name: &str,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        processors: &Processors,
    ) -> Result<Self, BoxError> {
        pin(processors.services)?;
        let child = Command::new(env::current_exe()?)
            .args([RUN_FLAG, name])
            .env_clear()
            .envs(variables)
            .stdout(Stdio::null())
            .spawn();
        pin(processors.client)?;
        Ok(Self(child?))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that receives spans and counts their bytes.
pub(super) struct Collector {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    endpoint: String,
}

impl Collector {
    pub(super) fn start(processors: &Processors) -> Result<Self, BoxError> {
        pin(processors.client)?;
        let mut child = Command::new(env::current_exe()?)
            .args([RUN_FLAG, COLLECTOR])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().ok_or("the collector has no output")?);
        let mut address = String::new();
        output.read_line(&mut address)?;
        let address: SocketAddr = address.trim().parse()?;
        Ok(Self {
            child,
            input,
            output,
            endpoint: format!("http://{address}"),
        })
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Stops the collector and returns the number of received bytes.
    pub(super) fn received_bytes(&mut self) -> Result<u64, BoxError> {
        drop(self.input.take());
        let mut bytes = String::new();
        self.output.read_to_string(&mut bytes)?;
        Ok(bytes.trim().parse()?)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Receives OTLP over HTTP until the input ends, and prints its address and the number of bytes.
fn collect() -> Result<(), BoxError> {
    let bytes = Arc::new(AtomicU64::new(0));
    let received = Arc::clone(&bytes);
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = writeln!(io::stdout(), "{}", received.load(Relaxed));
        std::process::exit(0);
    });
    let take = move |body: Bytes| async move {
        bytes.fetch_add(u64::try_from(body.len()).unwrap_or(u64::MAX), Relaxed);
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(io::stdout(), "{}", listener.local_addr()?)?;
        Ok(axum::serve(listener, Router::new().fallback(take)).await?)
    })
}
