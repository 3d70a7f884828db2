//! Deployments that are made of a configured one: for a model, for a client.

use std::sync::Arc;

use crate::{ClientCredentials, Deployment, DeploymentId};

impl Deployment {
    /// The same deployment, asked for one concrete model of its wildcard.
    ///
    /// It has an id of its own, so its health, limits and load are those of the model; the id that
    /// is shown stays that of the wildcard.
    #[must_use]
    pub fn for_model(self: &Arc<Self>, model: &str) -> Self {
        Self {
            id: DeploymentId::new(format!("{}/{model}", self.id)),
            model: Arc::from(model),
            configured: Some(Arc::clone(self.configured())),
            ..Self::clone(self)
        }
    }

    /// The same deployment with what a client brought.
    ///
    /// It has an id of its own, so what a client's credential does to it leaves the others alone. A
    /// client that names another endpoint gets none of the configured credentials and headers.
    #[must_use]
    pub fn for_client(self: &Arc<Self>, client: &ClientCredentials) -> Self {
        let mut own = Self {
            id: DeploymentId::new(format!("{}+{:016x}", self.id, client.fingerprint())),
            configured: Some(Arc::clone(self.configured())),
            ..Self::clone(self)
        };
        if let Some(url) = &client.base_url {
            own.base_url = Some(Arc::clone(url));
            own.credential = None;
            own.headers.clear();
            // What is left is no secret.
            own.params.retain(|(name, _)| &**name == "api_version");
        }
        if let Some(key) = &client.api_key {
            own.credential = Some(key.clone());
        }
        own
    }

    /// The deployment as it is configured, where this one was made of it by
    /// [`for_model`](Self::for_model) or [`for_client`](Self::for_client): what to show and to count
    /// by, since the number of those is bounded.
    #[must_use]
    pub fn configured(self: &Arc<Self>) -> &Arc<Self> {
        self.configured.as_ref().unwrap_or(self)
    }

    /// The id of the deployment as it is configured.
    #[must_use]
    pub fn public_id(&self) -> &DeploymentId {
        self.configured.as_ref().map_or(&self.id, |it| &it.id)
    }

    /// The id that another deployment would have if it had been made as this one was: for the same
    /// concrete model, or for the same client. That of the other one itself if this one is as it was
    /// configured.
    #[must_use]
    pub fn sibling_id(&self, other: &Self) -> DeploymentId {
        match &self.configured {
            None => other.id.clone(),
            Some(configured) => {
                let made_for = &self.id.as_str()[configured.id.as_str().len()..];
                DeploymentId::new(format!("{}{made_for}", other.id))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    #[test]
    fn what_is_made_of_a_deployment_has_its_own_id_and_shows_that_of_the_configuration() {
        let wild = Deployment::new("wild", "openai/*", "*").with_credential(Secret::new("ours"));
        let wild = wild.with_param("client_secret", Secret::new("ours"));
        let wild = Arc::new(wild);
        let concrete = Arc::new(wild.for_model("gpt-4o"));
        assert_eq!(
            (concrete.id().as_str(), concrete.model()),
            ("wild/gpt-4o", "gpt-4o")
        );
        let client = ClientCredentials {
            api_key: None,
            base_url: Some(Arc::from("https://elsewhere.example.com")),
            is_owners: false,
        };
        let theirs = concrete.for_client(&client);
        assert_eq!(theirs.public_id().as_str(), "wild");
        assert_ne!(theirs.id(), concrete.id());
        assert!(theirs.credential().is_none(), "ours goes nowhere else");
        assert_eq!(theirs.param("client_secret"), None);
        assert_eq!(concrete.param("client_secret"), Some("ours"));
        let other = Deployment::new("other", "openai/*", "*");
        assert_eq!(concrete.sibling_id(&other).as_str(), "other/gpt-4o");
        assert_eq!(wild.sibling_id(&other), *other.id());
    }
}
