//! TCP relay with adjustable faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Faults of the network; the numbers are generations: connections opened before are affected.
#[derive(Clone, Copy, Default)]
struct Weather {
    cut: u64,
    half_open: u64,
    frozen: bool,
    refuse: bool,
}

pub(crate) struct Network {
    pub(crate) port: u16,
    /// Port of the server; 0 while there is none.
    server: Arc<AtomicU16>,
    weather: watch::Sender<Weather>,
    generation: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Network {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (server, generation) = (Arc::new(AtomicU16::new(0)), Arc::new(AtomicU64::new(1)));
        let weather = watch::Sender::new(Weather::default());
        let task = tokio::spawn(relay(
            listener,
            server.clone(),
            weather.clone(),
            generation.clone(),
        ));
        Self {
            port,
            server,
            weather,
            generation,
            task,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Weather, u64)) {
        let now = self.generation.load(Ordering::SeqCst);
        self.weather.send_modify(|weather| change(weather, now));
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.change(|weather, now| weather.cut = now);
    }

    /// Drops all data on existing connections from now on, without notifying either side.
    pub(crate) fn half_open(&self) {
        self.change(|weather, now| weather.half_open = now);
    }

    /// Sets whether data are held back, to be delivered later.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.change(|weather, _| weather.frozen = frozen);
    }

    /// Sets whether new connections are closed at once.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.change(|weather, _| weather.refuse = refuse);
    }

    /// Sets the destination of new connections.
    pub(crate) fn route(&self, server: u16) {
        self.server.store(server, Ordering::SeqCst);
    }

    /// Ends everything.
    pub(crate) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn relay(
    listener: TcpListener,
    server: Arc<AtomicU16>,
    weather: watch::Sender<Weather>,
    generation: Arc<AtomicU64>,
) {
    // Dropping it ends all tasks that are still running.
    let mut relays = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while relays.try_join_next().is_some() {}
        let mine = generation.fetch_add(1, Ordering::SeqCst);
        let mut weather = weather.subscribe();
        let port = server.load(Ordering::SeqCst);
        if weather.borrow_and_update().refuse || port == 0 {
            continue;
        }
        relays.spawn(async move {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                return;
            };
            let (client_in, client_out) = client.into_split();
            let (server_in, server_out) = server.into_split();
            let watching = weather.clone();
            let cut = async { _ = weather.wait_for(|weather| weather.cut >= mine).await };
            tokio::select! {
                () = pump(client_in, server_out, mine, watching.clone()) => {}
                () = pump(server_in, client_out, mine, watching) => {}
                () = cut => {}
            }
        });
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mine: u64,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 4096];
    while let Ok(n) = from.read(&mut buffer).await {
        let _ = weather
            .wait_for(|weather| !weather.frozen && weather.half_open < mine)
            .await;
        if n == 0 || to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
