//! Which step of a ceremony on an unsealed node is whose.

use conclave_vault::{CeremonyStep, Core, Error};

use super::attempt::StepAnswer;
use super::{Seal, rekeying, root_token};

/// Does a step.
pub(crate) async fn perform(seal: &Seal, core: &Core, step: CeremonyStep) -> Result<StepAnswer, Error> {
    match step {
        CeremonyStep::RootStatus => root_token::status(seal),
        CeremonyStep::RootBegin(cover) => root_token::begin(seal, &cover),
        CeremonyStep::RootCancel => Ok(root_token::cancel(seal)),
        CeremonyStep::RootShare(share) => root_token::enter(seal, core, &share).await,
        CeremonyStep::RekeyStatus => rekeying::status(seal),
        CeremonyStep::RekeyBegin(wanted) => rekeying::begin(seal, &wanted),
        CeremonyStep::RekeyCancel => Ok(rekeying::cancel(seal)),
        CeremonyStep::RekeyShare(share) => rekeying::enter(seal, core, &share).await,
        CeremonyStep::VerifyStatus => rekeying::verify_status(seal),
        CeremonyStep::VerifyShare(share) => rekeying::verify(seal, core, &share).await,
        CeremonyStep::VerifyRestart => rekeying::restart_verification(seal),
    }
}
