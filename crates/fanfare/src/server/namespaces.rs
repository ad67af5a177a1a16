//! Registry of the namespaces of a server, the only place where they are looked up, created and removed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use fanfare_protocol::Escaped;
use parking_lot::{Mutex, RwLock};

use super::IoInner;
use crate::limits::{FairShare, Owner};
use crate::log_target;
use crate::namespace::{Life, NamespaceHandle, NamespaceInner, Origin, Parent};

/// Reason for which a client cannot join a namespace. The message is the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoNamespace {
    #[error("Invalid namespace")]
    Invalid,
    #[error("too many namespaces")]
    TooMany,
    /// A predicate of the application has panicked, which has been reported.
    #[error("internal error")]
    Failed,
}

impl NoNamespace {
    pub(crate) const fn cause(self) -> &'static str {
        match self {
            Self::Invalid => "invalid_namespace",
            Self::TooMany => "too_many_namespaces",
            Self::Failed => "panic",
        }
    }
}

/// Listener for new namespaces.
pub(crate) type NamespaceListener = Box<dyn Fn(&NamespaceHandle) + Send + Sync>;

/// Namespaces by name, and the declarations of dynamic ones.
pub(crate) struct Namespaces {
    by_name: RwLock<HashMap<Box<str>, Entry, foldhash::fast::RandomState>>,
    parents: Vec<Arc<Parent>>,
    /// Shares of the clients for which dynamic namespaces exist.
    shares: Shares,
    listeners: Vec<NamespaceListener>,
    /// Names of the namespaces that the adapter knows.
    announced: Mutex<HashSet<Box<str>>>,
}

type Shares = Arc<Mutex<FairShare<Owner>>>;

/// Share of a dynamic namespace that counts for its owner.
pub(crate) struct Share {
    shares: Shares,
    owner: Mutex<Owner>,
}

impl Share {
    pub(crate) fn owner(&self) -> Owner {
        *self.owner.lock()
    }

    /// Moves the share from one owner to the other. Returns `true` if it was counted for the first.
    pub(crate) fn hand_over(&self, from: Owner, to: Owner) -> Result<bool, NoNamespace> {
        let mut owner = self.owner.lock();
        if *owner != from {
            return Ok(false);
        }
        let mut shares = self.shares.lock();
        shares.release(&from, 1);
        if !shares.take(&to, 1) {
            shares.charge(&from, 1);
            return Err(NoNamespace::TooMany);
        }
        *owner = to;
        Ok(true)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shares.lock().release(self.owner.get_mut(), 1);
    }
}

enum Entry {
    /// Namespace that was declared, or created by the application, and stays.
    Kept(Arc<NamespaceInner>),
    /// Namespace that lives as long as a socket, a handle or an operator refers to it.
    Used(Weak<NamespaceInner>),
}

impl Entry {
    fn get(&self) -> Option<Arc<NamespaceInner>> {
        match self {
            Self::Kept(namespace) => Some(namespace.clone()),
            Self::Used(namespace) => namespace.upgrade(),
        }
    }

    /// Whether [`get`](Self::get) would return the namespace, without a reference to it: dropping the last one takes
    /// the lock of all namespaces.
    fn is_live(&self) -> bool {
        match self {
            Self::Kept(_) => true,
            Self::Used(namespace) => namespace.strong_count() > 0,
        }
    }
}

impl Namespaces {
    pub(super) fn new(
        declared: impl IntoIterator<Item = Arc<NamespaceInner>>,
        parents: Vec<Arc<Parent>>,
        listeners: Vec<NamespaceListener>,
        max_dynamic: usize,
    ) -> Self {
        let entry =
            |namespace: Arc<NamespaceInner>| (namespace.name.clone(), Entry::Kept(namespace));
        Self {
            by_name: RwLock::new(declared.into_iter().map(entry).collect()),
            parents,
            shares: Arc::new(Mutex::new(FairShare::new(max_dynamic))),
            listeners,
            announced: Mutex::default(),
        }
    }

    fn share(&self, owner: Owner) -> Result<Share, NoNamespace> {
        let shares = self.shares.clone();
        if !shares.lock().take(&owner, 1) {
            return Err(NoNamespace::TooMany);
        }
        let owner = Mutex::new(owner);
        Ok(Share { shares, owner })
    }

    fn find(&self, name: &str) -> Option<Arc<NamespaceInner>> {
        self.by_name.read().get(name)?.get()
    }

    pub(super) fn parent(&self, name: &str) -> Option<&Arc<Parent>> {
        self.parents.iter().find(|parent| parent.name == name)
    }

    /// Returns the first declaration that accepts the name. `auth` is the JSON that a client sent.
    fn choose(
        &self,
        io: &IoInner,
        name: &str,
        auth: Option<&str>,
    ) -> Result<Option<Origin>, NoNamespace> {
        for parent in &self.parents {
            if let Some(params) = parent.accepts(io, name, auth)? {
                return Ok(Some(Origin::child(parent, params)));
            }
        }
        Ok(None)
    }

    /// Returns the existing namespaces, collected under the lock and used outside of it.
    fn all(&self) -> Vec<Arc<NamespaceInner>> {
        self.by_name
            .read()
            .values()
            .filter_map(Entry::get)
            .collect()
    }
}

impl IoInner {
    pub(crate) fn find_namespace(&self, name: &str) -> Option<Arc<NamespaceInner>> {
        if name == "/" {
            return self.main.get().cloned();
        }
        self.namespaces.find(name)
    }

    /// Returns the namespace that a client asks for; creates it if a dynamic declaration matches its name. Predicates
    /// are called for every client.
    pub(crate) fn enter_namespace(
        &self,
        name: &str,
        auth: Option<&str>,
        owner: Owner,
    ) -> Result<Arc<NamespaceInner>, NoNamespace> {
        if let Some(namespace) = self.find_namespace(name) {
            return self.let_in(namespace, auth);
        }
        let origin = self.namespaces.choose(self, name, auth)?;
        let origin = origin.ok_or(NoNamespace::Invalid)?;
        let life = Life::Client(self.namespaces.share(owner)?);
        match self.make(name, Some(origin), life) {
            (namespace, true) => Ok(namespace),
            // Another client has created it meanwhile.
            (namespace, false) => self.let_in(namespace, auth),
        }
    }

    /// Checks whether a client may join an existing namespace.
    fn let_in(
        &self,
        namespace: Arc<NamespaceInner>,
        auth: Option<&str>,
    ) -> Result<Arc<NamespaceInner>, NoNamespace> {
        if namespace.behaviour.is_open() {
            let chosen = self.namespaces.choose(self, &namespace.name, auth)?;
            namespace
                .behaviour
                .settle(chosen.ok_or(NoNamespace::Invalid)?);
        }
        if let Some(parent) = namespace.behaviour.parent()
            && parent.asks_every_client()
            && parent.accepts(self, &namespace.name, auth)?.is_none()
        {
            return Err(NoNamespace::Invalid);
        }
        Ok(namespace)
    }

    /// Returns the namespace that the application asks for; creates it if there is none.
    pub(super) fn namespace_of(&self, name: &str) -> Arc<NamespaceInner> {
        if let Some(namespace) = self.find_namespace(name) {
            return namespace;
        }
        let chosen = self.namespaces.choose(self, name, None).ok().flatten();
        let mut parents = self.namespaces.parents.iter();
        let (origin, life) = match chosen {
            Some(origin) => (Some(origin), Life::Used),
            // A predicate may accept the name for a client, whose `auth` it has not seen yet.
            None if parents.any(|parent| parent.asks_every_client()) => (None, Life::Used),
            None => (Some(Origin::default()), Life::Kept),
        };
        self.make(name, origin, life).0
    }

    /// Creates a namespace, unless it exists: the only place that does once the server runs. Returns `true` if it is
    /// new.
    fn make(&self, name: &str, origin: Option<Origin>, life: Life) -> (Arc<NamespaceInner>, bool) {
        let namespace = {
            let mut by_name = self.namespaces.by_name.write();
            if let Some(namespace) = by_name.get(name).and_then(Entry::get) {
                return (namespace, false);
            }
            let kept = matches!(life, Life::Kept);
            let this = self.this.clone();
            let namespace = NamespaceInner::new(name, origin, life, &self.settings, this);
            let entry = match kept {
                true => Entry::Kept(namespace.clone()),
                false => Entry::Used(Arc::downgrade(&namespace)),
            };
            by_name.insert(name.into(), entry);
            namespace
        };
        self.announce(name);
        namespace.announced();
        let handle = NamespaceHandle(namespace.clone());
        for listener in &self.namespaces.listeners {
            self.contain("on_new_namespace", || listener(&handle));
        }
        (namespace, true)
    }

    /// Removes a namespace that is no longer used.
    pub(crate) fn namespace_unused(&self, name: &str) {
        let mut by_name = self.namespaces.by_name.write();
        // A new namespace of the same name may exist already.
        if by_name.get(name).is_some_and(|entry| !entry.is_live()) {
            by_name.remove(name);
        }
        drop(by_name);
        self.announce(name);
        tracing::debug!(target: log_target::NAMESPACE, namespace = %Escaped(name), "removed a namespace that nobody uses");
    }

    /// Tells the adapter whether a namespace exists, if that has changed.
    pub(super) fn announce(&self, name: &str) {
        let Some(cluster) = &self.settings.cluster else {
            return;
        };
        let mut announced = self.namespaces.announced.lock();
        let by_name = self.namespaces.by_name.read();
        let exists = by_name.get(name).is_some_and(Entry::is_live);
        drop(by_name);
        if exists && announced.insert(name.into()) {
            cluster.adapter.namespace_opened(name);
        } else if !exists && announced.remove(name) {
            cluster.adapter.namespace_closed(name);
        }
    }

    pub(crate) fn children(&self, parent: &Arc<Parent>) -> Vec<Arc<NamespaceInner>> {
        let mut all = self.namespaces.all();
        all.retain(|namespace| namespace.behaviour.is_child_of(parent));
        all
    }

    pub(crate) fn namespace_names(&self) -> Vec<String> {
        let by_name = self.namespaces.by_name.read();
        let live = by_name.iter().filter(|(_, entry)| entry.is_live());
        live.map(|(name, _)| name.to_string()).collect()
    }

    pub(super) fn all_namespaces(&self) -> Vec<Arc<NamespaceInner>> {
        self.namespaces.all()
    }
}
