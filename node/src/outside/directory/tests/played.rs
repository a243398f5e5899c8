//! Servers that a test plays: Active Directory's ways, and what no directory should do.

use futures::{SinkExt, StreamExt};
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindResponse, LdapFilter, LdapMsg, LdapOp, LdapPartialAttribute, LdapResult, LdapResultCode,
    LdapSearchResultEntry,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::codec::Framed;

use super::*;

const ANN: &str = "CN=Ann,OU=people,DC=x";
/// S-1-5-32-544 and S-1-5-21-1.
const TOKENS: [&[u8]; 2] =
    [&[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0], &[1, 2, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0]];

fn result(code: LdapResultCode) -> LdapResult {
    LdapResult { code, matcheddn: String::new(), message: String::new(), referral: Vec::new() }
}

fn entry(dn: &str, name: &str, vals: Vec<Vec<u8>>) -> LdapOp {
    let attributes = vec![LdapPartialAttribute { atype: name.to_owned(), vals }];
    LdapOp::SearchResultEntry(LdapSearchResultEntry { dn: dn.to_owned(), attributes })
}

/// What Active Directory answers.
fn active_directory(op: LdapOp) -> Vec<LdapOp> {
    let done = |code| LdapOp::SearchResultDone(result(code));
    match op {
        LdapOp::BindRequest(bind) => {
            let is_ann = bind.dn == "ann@corp.example" && bind.cred == LdapBindCred::Simple("of-ann".into());
            let code = if is_ann { LdapResultCode::Success } else { LdapResultCode::InvalidCredentials };
            vec![LdapOp::BindResponse(LdapBindResponse { res: result(code), saslcreds: None })]
        }
        LdapOp::SearchRequest(search) if search.base == ANN && search.attrs == ["tokenGroups"] => {
            vec![entry(ANN, "tokenGroups", TOKENS.map(<[u8]>::to_vec).to_vec()), done(LdapResultCode::Success)]
        }
        LdapOp::SearchRequest(search) if search.base == "<SID=S-1-5-32-544>" => {
            vec![entry("CN=Admins,DC=x", "cn", vec![b"Admins".to_vec()]), done(LdapResultCode::Success)]
        }
        LdapOp::SearchRequest(search) if search.base.starts_with("<SID=") => vec![done(LdapResultCode::NoSuchObject)],
        LdapOp::SearchRequest(search) => {
            let wanted = LdapFilter::Equality("userPrincipalName".into(), "ann@corp.example".into());
            let found = (search.filter == wanted).then(|| entry(ANN, "sAMAccountName", vec![b"ann".to_vec()]));
            found.into_iter().chain([done(LdapResultCode::Success)]).collect()
        }
        _ => Vec::new(),
    }
}

/// Answers the connections to a port by a function.
async fn played(answer: fn(LdapOp) -> Vec<LdapOp>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut framed = Framed::new(stream, LdapCodec::default());
            while let Some(Ok(message)) = framed.next().await {
                for op in answer(message.op) {
                    let _ = framed.send(LdapMsg { msgid: message.msgid, op, ctrl: Vec::new() }).await;
                }
            }
        }
    });
    url
}

/// Sends these bytes to whoever says something, and then nothing, with the connection open.
async fn babbling(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = [0; 16];
            let _ = stream.read(&mut heard).await;
            let _ = stream.write_all(&bytes).await;
            kept.push(stream);
        }
    });
    url
}

#[tokio::test]
async fn users_of_active_directory_bind_by_their_principal_and_have_token_groups() {
    let url = played(active_directory).await;
    let principal = changed!(
        question(&url, "ann", "of-ann");
        service_dn: String::new(),
        service_password: String::new(),
        bind_name: "ann@corp.example".into(),
        user_filter: "(userPrincipalName=ann@corp.example)".into(),
        user_attribute: "sAMAccountName".into(),
        uses_token_groups: true
    );
    let answer = ask(&principal).await.unwrap();
    assert_eq!((answer.verdict(), answer.user_dn.as_str()), (DirectoryVerdict::Known, ANN), "{}", answer.reason);
    assert_eq!((answer.user_values, answer.groups), (vec!["ann".to_owned()], vec!["Admins".to_owned()]));
    let wrong = changed!(principal.clone(); password: Some("guess".into()));
    assert_eq!(verdict(&wrong).await.0, DirectoryVerdict::Refused);
    let other = changed!(principal.clone(); user_filter: "(userPrincipalName=bob@corp.example)".into());
    let (verdict, reason) = verdict(&other).await;
    assert!(verdict == DirectoryVerdict::Misconfigured && reason.contains("not found below userdn"), "{reason}");
}

#[tokio::test]
async fn what_no_directory_should_send_ends_the_conversation_and_nothing_else() {
    // Tags that nest as deep as bytes allow, each as long as what is left.
    let mut nested = Vec::new();
    for left in (0..100_000_u32).rev() {
        nested.extend([0x30, 0x84]);
        nested.extend((left * 6).to_be_bytes());
    }
    for (bytes, what) in [
        (nested, "tags that nest"),
        (b"HTTP/1.1 400 Bad Request\r\n".repeat(10), "another protocol"),
        (vec![0x30, 0x00], "an empty message"),
        (vec![0x30, 0x03, 0x02, 0x01, 0x01], "a message without an operation"),
        // A bind answered as a search.
        (vec![0x30, 0x0c, 0x02, 0x01, 0x01, 0x65, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00], "another operation"),
        // An answer to a question that was not asked.
        (vec![0x30, 0x0c, 0x02, 0x01, 0x07, 0x61, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00], "another question"),
        ([&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff][..], &[0; 4 << 20]].concat(), "without an end"),
    ] {
        let error = ask(&question(&babbling(bytes).await, "ann", "of-ann")).await.expect_err(what);
        assert!(error.contains("did not answer as a directory"), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_as_long_as_the_configuration_says() {
    let mut silent = question(&babbling(Vec::new()).await, "ann", "of-ann");
    silent.servers.request_secs = 1;
    assert!(ask(&silent).await.unwrap_err().contains("request_timeout"));
    silent.servers.starts_tls = true;
    silent.servers.connect_secs = 1;
    assert!(ask(&silent).await.unwrap_err().contains("did not answer in time"));
}

#[tokio::test]
async fn passwords_do_not_leave_this_machine_unencrypted_nor_go_where_the_operator_does_not_allow() {
    for (url, word) in [("ldap://192.0.2.1", "use ldaps:// or starttls"), ("ldaps://169.254.169.254", "does not allow")]
    {
        let error = ask(&question(url, "ann", "of-ann")).await.unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    for url in ["", "127.0.0.1", "http://127.0.0.1", "ldap://", "ldap://u:p@127.0.0.1", "ldap://127.0.0.1/dc=x??sub"] {
        assert_eq!(verdict(&question(url, "ann", "of-ann")).await.0, DirectoryVerdict::Misconfigured, "{url}");
    }
}
