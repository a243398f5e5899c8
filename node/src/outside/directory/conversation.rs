//! What is said to a directory about one user: find the entry, try the password, look at the groups.

use conclave_vault::{DirectoryAnswer, DirectoryQuestion, DirectoryVerdict, with_user_dn};
use ldap3_proto::proto::{LdapFilter, LdapResult, LdapResultCode, LdapSearchResultEntry};

use crate::config::limits::MAX_DIRECTORY_GROUPS;
use crate::outside::directory::session::{Search, Searched, Session};
use crate::outside::directory::{End, filter};

/// The attribute that stands for none (RFC 4511, section 4.5.1.8).
const NO_ATTRIBUTE: &str = "1.1";
/// The groups of a user in Active Directory, those that hold others included, as security identifiers.
const TOKEN_GROUPS: &str = "tokenGroups";

/// What the directory says.
pub(super) async fn hold(session: Session, question: &DirectoryQuestion) -> Result<DirectoryAnswer, End> {
    let mut conversation = Conversation { session, question };
    let mut entry = None;
    let bind_name = match question.bind_name.as_str() {
        "" => {
            conversation.become_service().await?;
            let found = conversation.find_user().await?;
            let found = found.ok_or_else(|| End::Answered(DirectoryAnswer::ended(DirectoryVerdict::Unknown, "")))?;
            entry.insert(found).dn.clone()
        }
        name => name.to_owned(),
    };
    if let Some(password) = &question.password {
        conversation.try_password(&bind_name, password, entry.is_some()).await?;
        if !question.service_dn.is_empty() {
            conversation.become_service().await?;
        }
    }
    if entry.is_none() && question.needs_entry {
        let found = conversation.find_user().await?;
        entry = Some(found.ok_or_else(|| {
            End::misconfigured("the user's entry was not found below userdn; see userattr, userfilter and binddn")
        })?);
    }
    let user_dn = entry.as_ref().map_or(bind_name, |entry| entry.dn.clone());
    Ok(DirectoryAnswer {
        verdict: DirectoryVerdict::Known.into(),
        reason: String::new(),
        is_found: entry.is_some(),
        user_values: entry.map(|entry| values(&entry, &question.user_attribute)).unwrap_or_default(),
        groups: conversation.groups(&user_dn).await?,
        user_dn,
    })
}

struct Conversation<'q> {
    session: Session,
    question: &'q DirectoryQuestion,
}

impl Conversation<'_> {
    async fn become_service(&mut self) -> Result<(), End> {
        let bound = self.session.bind(&self.question.service_dn, &self.question.service_password).await?;
        match bound.code {
            LdapResultCode::Success => Ok(()),
            _ => Err(failed("the bind of the service account (binddn, bindpass)", &bound)),
        }
    }

    /// The user's entry; `None` if there is none, or more than one.
    async fn find_user(&mut self) -> Result<Option<LdapSearchResultEntry>, End> {
        let search = Search {
            base: &self.question.user_base,
            is_subtree: true,
            dereference: self.question.dereference,
            most: 2,
            filter: parsed("userfilter", &self.question.user_filter)?,
            attribute: &self.question.user_attribute,
            page_entries: 0,
        };
        let Searched { mut entries, end } = self.session.search(&search).await?;
        match end.code {
            LdapResultCode::Success | LdapResultCode::SizeLimitExceeded if entries.len() > 1 => Ok(None),
            LdapResultCode::Success => Ok(entries.pop()),
            _ => Err(failed("the search below userdn", &end)),
        }
    }

    async fn try_password(&mut self, name: &str, password: &str, is_found: bool) -> Result<(), End> {
        let ended = |verdict| End::Answered(DirectoryAnswer { is_found, ..DirectoryAnswer::ended(verdict, "") });
        let bound = self.session.bind(name, password).await?;
        match bound.code {
            LdapResultCode::Success => {}
            // A name that is none, as one outside of its rules, is a name of nobody.
            LdapResultCode::InvalidCredentials
            | LdapResultCode::InappropriateAuthentication
            | LdapResultCode::NoSuchObject
            | LdapResultCode::InvalidDNSyntax
            | LdapResultCode::UnwillingToPerform => return Err(ended(DirectoryVerdict::Refused)),
            _ => return Err(failed("the bind of the user", &bound)),
        }
        match self.may_only_change_password(name).await? {
            true => Err(ended(DirectoryVerdict::MustChange)),
            false => Ok(()),
        }
    }

    /// Whether who is bound may do nothing but set another password. Some directories take the bind of such a user, and say so
    /// only when something else is asked.
    async fn may_only_change_password(&mut self, name: &str) -> Result<bool, End> {
        if !name.contains('=') {
            return Ok(false);
        }
        let end = self.session.search(&base(name, NO_ATTRIBUTE)).await?.end;
        // By the directory's own rules of access the same code is no such word.
        let is_restricted = end.message.to_ascii_lowercase().contains("restricted");
        Ok(match end.code {
            LdapResultCode::InsufficentAccessRights => is_restricted,
            LdapResultCode::UnwillingToPerform => true,
            _ => false,
        })
    }

    /// What names the user's groups.
    async fn groups(&mut self, user_dn: &str) -> Result<Vec<String>, End> {
        let is_wanted = self.question.uses_token_groups || !self.question.group_base.is_empty();
        if is_wanted && self.question.searches_groups_as_nobody {
            let bound = self.session.bind("", "").await?;
            if bound.code != LdapResultCode::Success {
                return Err(failed("the bind of nobody (anonymous_group_search)", &bound));
            }
        }
        let entries = match (is_wanted, self.question.uses_token_groups) {
            (false, _) => Vec::new(),
            (true, true) => self.token_groups(user_dn).await?,
            (true, false) => self.searched_groups(user_dn).await?,
        };
        let name = |entry: LdapSearchResultEntry| {
            let values = values(&entry, &self.question.group_attribute);
            if values.is_empty() { vec![entry.dn] } else { values }
        };
        Ok(entries.into_iter().flat_map(name).collect())
    }

    async fn searched_groups(&mut self, user_dn: &str) -> Result<Vec<LdapSearchResultEntry>, End> {
        let search = Search {
            base: &self.question.group_base,
            is_subtree: true,
            dereference: self.question.dereference,
            most: 0,
            filter: parsed("groupfilter", &with_user_dn(&self.question.group_filter, user_dn))?,
            attribute: &self.question.group_attribute,
            page_entries: self.question.page_entries,
        };
        let Searched { entries, end } = self.session.search(&search).await?;
        match end.code {
            LdapResultCode::Success => Ok(entries),
            // A part of the groups would be a part of the denies.
            LdapResultCode::SizeLimitExceeded => Err(End::misconfigured(
                "the directory cuts the list of the user's groups at its size limit; raise it, or narrow groupfilter",
            )),
            _ => Err(failed("the search below groupdn", &end)),
        }
    }

    async fn token_groups(&mut self, user_dn: &str) -> Result<Vec<LdapSearchResultEntry>, End> {
        let Searched { entries, end } = self.session.search(&base(user_dn, TOKEN_GROUPS)).await?;
        if end.code != LdapResultCode::Success {
            return Err(failed("the search for tokenGroups", &end));
        }
        let attributes = entries.iter().flat_map(|entry| &entry.attributes);
        let wanted = attributes.filter(|attribute| attribute.atype.eq_ignore_ascii_case(TOKEN_GROUPS));
        let identifiers: Vec<_> = wanted.flat_map(|attribute| &attribute.vals).filter_map(|it| sid(it)).collect();
        if identifiers.len() > MAX_DIRECTORY_GROUPS {
            return Err(End::misconfigured(format!("the user has more than {MAX_DIRECTORY_GROUPS} groups")));
        }
        let mut groups = Vec::new();
        for identifier in identifiers {
            let place = format!("<SID={identifier}>");
            let found = self.session.search(&base(&place, &self.question.group_attribute)).await?;
            match found.end.code {
                LdapResultCode::Success => groups.extend(found.entries),
                // Groups of other domains have no entry here.
                LdapResultCode::NoSuchObject | LdapResultCode::Referral => {}
                _ => return Err(failed("the search for a group of tokenGroups", &found.end)),
            }
        }
        Ok(groups)
    }
}

/// A search that looks at one entry.
fn base<'a>(name: &'a str, attribute: &'a str) -> Search<'a> {
    let filter = LdapFilter::Present("objectClass".to_owned());
    Search { base: name, is_subtree: false, dereference: 0, most: 0, filter, attribute, page_entries: 0 }
}

fn parsed(field: &str, text: &str) -> Result<LdapFilter, End> {
    filter::parse(text)
        .ok_or_else(|| End::misconfigured(format!("{field} is no filter such as (uid={{{{.Username}}}})")))
}

/// Values of an attribute that are text.
fn values(entry: &LdapSearchResultEntry, attribute: &str) -> Vec<String> {
    let wanted = entry.attributes.iter().filter(|found| found.atype.eq_ignore_ascii_case(attribute));
    wanted.flat_map(|found| &found.vals).filter_map(|value| String::from_utf8(value.clone()).ok()).collect()
}

/// What the directory did not do. Its own words are left out: they may hold what was sent.
fn failed(what: &str, end: &LdapResult) -> End {
    let why = match end.code {
        LdapResultCode::Referral => "it refers to another server, and referrals are not followed".to_owned(),
        LdapResultCode::ConfidentialityRequired | LdapResultCode::StrongerAuthRequired => {
            "it wants encryption: use ldaps:// or starttls".to_owned()
        }
        ref code => format!("{code:?}, code {}", code.clone() as i64),
    };
    match end.code {
        // Another server may do it, or the same in a moment.
        LdapResultCode::Busy | LdapResultCode::Unavailable => End::Broken(format!("{what} failed: {why}")),
        _ => End::misconfigured(format!("{what} failed: {why}")),
    }
}

/// A security identifier as text (MS-DTYP, section 2.4.2).
fn sid(bytes: &[u8]) -> Option<String> {
    let (head, rest) = bytes.split_at_checked(8)?;
    let parts = rest.chunks_exact(4);
    if !parts.remainder().is_empty() || parts.len() != usize::from(head[1]) {
        return None;
    }
    let authority = head[2..].iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let parts = parts.map(|part| u32::from_le_bytes([part[0], part[1], part[2], part[3]]).to_string());
    Some(format!("S-{}-{authority}-{}", head[0], parts.collect::<Vec<_>>().join("-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_security_identifier_is_read() {
        let bytes = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 0x02, 0, 0];
        assert_eq!(sid(&bytes).unwrap(), "S-1-5-32-544");
        assert!(sid(&bytes[..15]).is_none() && sid(&bytes[..4]).is_none() && sid(&[1, 9, 0, 0, 0, 0, 0, 5]).is_none());
    }
}
