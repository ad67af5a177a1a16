//! Construction of a server from its builder.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fanfare_engine::Engine;
use fanfare_engine::serve::IdleConnections;

use super::namespaces::Namespaces;
use super::{IoInner, Latch, SocketIo, SocketIoBuilder, TaskTracker, check};
use crate::ack::AnswerBudget;
use crate::adapter::{ClusterHandle, ClusterInner};
use crate::client::Dispatcher;
use crate::clock;
use crate::error::BuildError;
use crate::limits::AdmissionControl;
use crate::namespace::{
    Life, Matcher, Namespace, NamespaceInner, Origin, Parent, Pattern, Settings,
};
use crate::recovery::Budget;
use crate::stats::ServerStats;

const DEFAULT_ACK_TIMEOUT: Duration = Duration::from_secs(30);

impl SocketIoBuilder {
    /// Builds the server. Nothing runs yet: mount [`service`](SocketIo::service) or call [`serve`](crate::serve()).
    ///
    /// # Errors
    /// [`BuildError`] if a state is missing, a namespace was added twice, an event name is reserved, or an option has a
    /// value that can never work.
    pub fn build(self) -> Result<SocketIo, BuildError> {
        let Self {
            mut namespaces,
            states,
            mut config,
            hooks,
            ack_timeout,
            recovery,
            adapter,
            codec,
            admission,
            rates,
            proxies,
            peer_of,
            share_of,
            transport_ids,
            client_files,
            on_new_namespace,
        } = self;
        super::http::merge_origins(&mut config);
        check::check_config(&config, hooks.has_generate_id())?;
        if let Some(recovery) = &recovery {
            check::check_recovery(recovery)?;
        }
        if let Some(timeout) = ack_timeout {
            check::check_duration("ack_timeout", timeout)?;
        }
        for (option, unsound) in [
            ("admission", admission.unsound()),
            ("rate_limits", rates.unsound()),
        ] {
            if let Some(unsound) = unsound {
                return Err(BuildError::InvalidOption {
                    option,
                    value: format!("{unsound} is 0, which lets nothing through"),
                });
            }
        }
        let limits = config.limits.clone();
        let client_files = client_files.map(|files| files.read()).transpose()?;
        if !namespaces.iter().any(|namespace| namespace.name == "/") {
            namespaces.push(Namespace::new("/"));
        }
        for namespace in &namespaces {
            check::check_namespace(namespace, &states, &limits)?;
        }
        let mut names = HashSet::new();
        if let Some(twice) = namespaces
            .iter()
            .find(|namespace| !names.insert(namespace.name.as_str()))
        {
            return Err(BuildError::DuplicateNamespace(twice.name.clone()));
        }
        check_patterns(&namespaces)?;
        let (fixed, dynamic): (Vec<_>, Vec<_>) = namespaces
            .into_iter()
            .partition(|namespace| matches!(namespace.matcher, Matcher::Exact));
        let parents = dynamic.into_iter().map(
            |Namespace {
                 name,
                 matcher,
                 behaviour,
                 ..
             }| {
                Arc::new(Parent {
                    name,
                    matcher,
                    behaviour: Arc::new(behaviour),
                })
            },
        );
        let parents: Vec<Arc<Parent>> = parents.collect();
        let stats: Arc<ServerStats> = Arc::default();
        for parent in &parents {
            stats.namespace(&parent.name); // before other namespaces use up the labels
        }
        let v2_limits = config.allow_eio3.then(|| {
            let mut v2_limits = Box::new(limits.clone());
            v2_limits.max_namespace_len = limits.max_payload;
            v2_limits
        });
        let settings = Settings {
            recovery: recovery.map(|recovery| (recovery, Budget::new(&limits))),
            heartbeat: config.ping_interval.saturating_add(config.ping_timeout),
            limits: limits.clone(),
            cluster: adapter.map(|adapter| ClusterInner::new(adapter, &limits)),
            stats: stats.clone(),
            codec: codec.clone(),
            answers: AnswerBudget::new(limits.ack_bytes),
        };
        let inner = Arc::new_cyclic(|this| {
            let running = |Namespace {
                               name, behaviour, ..
                           }| {
                let origin = Some(Origin::declared(behaviour));
                NamespaceInner::new(&name, origin, Life::Kept, &settings, this.clone())
            };
            let declared: Vec<Arc<NamespaceInner>> = fixed.into_iter().map(running).collect();
            let main = declared.iter().find(|namespace| &*namespace.name == "/");
            let main = main.cloned().map_or_else(OnceLock::new, OnceLock::from);
            let max_dynamic = limits.max_dynamic_namespaces;
            IoInner {
                namespaces: Namespaces::new(declared, parents, on_new_namespace, max_dynamic),
                main,
                states,
                limits: limits.clone(),
                v2_limits,
                settings,
                ack_timeout: ack_timeout.unwrap_or(DEFAULT_ACK_TIMEOUT),
                running: TaskTracker::default(),
                stats: stats.clone(),
                codec: codec.clone(),
                admission: AdmissionControl::new(&admission),
                client_files,
                rates,
                proxies,
                peer_of,
                share_of,
                transport_ids,
                without_address: AtomicBool::new(false),
                idle_connections: IdleConnections::default(),
                hooks,
                leaving: AtomicBool::new(false),
                closed: Latch::default(),
                drained: AtomicBool::new(false),
                epoch: clock::now(),
                own_events: OnceLock::new(),
                engine: OnceLock::new(),
                this: this.clone(),
            }
        });
        let engine = Engine::new(
            Dispatcher {
                io: Arc::downgrade(&inner),
            },
            config,
        );
        let _ = inner.engine.set(engine);
        if let Some(cluster) = &inner.settings.cluster {
            let handle = ClusterHandle::new(Arc::downgrade(&inner));
            cluster.adapter.start(handle);
            for namespace in inner.all_namespaces() {
                inner.announce(&namespace.name);
                namespace.announced();
            }
        }
        Ok(SocketIo(inner))
    }
}

/// Rejects invalid patterns, and those that no name would ever reach.
fn check_patterns(namespaces: &[Namespace]) -> Result<(), BuildError> {
    let mut earlier: Vec<(&str, &Pattern)> = Vec::new();
    for Namespace { name, matcher, .. } in namespaces {
        let Matcher::Pattern(pattern) = matcher else {
            continue;
        };
        let rejected = |reason| BuildError::InvalidPattern {
            pattern: name.clone(),
            reason,
        };
        let pattern = pattern
            .as_ref()
            .map_err(|error| rejected(error.to_string()))?;
        if let Some((other, _)) = earlier.iter().find(|(_, other)| other.covers(pattern)) {
            let reason = format!("the earlier pattern {other:?} takes all its names");
            return Err(rejected(reason));
        }
        earlier.push((name, pattern));
    }
    Ok(())
}
