//! A dev server's cluster: of one node, in memory, initialised and unsealed at once.

use std::sync::Arc;

use conclave_vault::seal::Parameters;
use zeroize::Zeroizing;

use crate::app::App;
use crate::before_unseal::init;
use crate::config::Config;
use crate::opening::StartError;

/// What a dev server tells whoever started it.
pub struct DevSecrets {
    /// The only share, in base64.
    pub unseal_key: Zeroizing<String>,
    /// The root token.
    pub root_token: Zeroizing<String>,
}

impl App {
    /// Starts a dev server. `root_token` is its root token's id, if the caller wants a certain one.
    pub async fn start_dev(config: Config, root_token: Option<&str>) -> Result<(Arc<Self>, DevSecrets), StartError> {
        let failed = |error: conclave_vault::Error| StartError::Dev(error.to_string());
        let app = Self::start(config).await?;
        let parameters = Parameters { shares: 1, threshold: 1 };
        let made = init::create_cluster(&app.seal, parameters, root_token, true).await.map_err(failed)?;
        let share = made.initialized.shares.first().ok_or_else(|| StartError::Dev("there is no share".into()))?;
        let unseal_key = share.to_base64();
        app.seal.unseal(made.initialized.barrier).await.map_err(failed)?;
        Ok((app, DevSecrets { unseal_key, root_token: made.root_token }))
    }
}
