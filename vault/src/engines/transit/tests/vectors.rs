//! What another implementation made: ciphertexts, signatures and HMACs by Python's `cryptography` 48.0.0 (OpenSSL) with the keys
//! below, in the form that Vault and OpenBao give them. XChaCha20 was made of its ChaCha20-Poly1305 and HChaCha20 as the draft
//! writes it down.

use super::*;

/// The bytes 0 to 31.
fn secret() -> Vec<u8> {
    (0..32).collect()
}

/// `tenant-7`.
const CONTEXT: &str = "dGVuYW50LTc=";
/// `aad`.
const AAD: &str = "YWFk";
const AES256: &str = "vault:v1:ZGVmZ2hpamtsbW5vIH6yChbJIfFMDju4F/OWMUJS76+ZIlGqXwoG";
const AES128: &str = "vault:v1:ZGVmZ2hpamtsbW5vcgciybQiz5XpUjO3ZvUd3GRalNFHU8KeNg9F";
const CHACHA: &str = "vault:v1:ZGVmZ2hpamtsbW5vXHTXpveFAT2JsnF9/oTnXpsma56Zz8biPO0C";
const XCHACHA: &str = "vault:v1:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7FBaV3JAO/u31XPnU7/3mVnL8oRPRJX8jIYTA";
const DERIVED: &str = "vault:v1:ZGVmZ2hpamtsbW5vTQRWW6gnsR3LUWdS3jJ+C5UHGIde5sDUKIjd";
const CONVERGENT: &str = "vault:v1:rzpQOhS0a10z8IKNlFK6zkZBEREbVIVCJXVeSVCXh+g06L5OuZKM";
const ED25519_KEY: &str = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
const ED25519: &str =
    "vault:v1:yeiKBsiIVap1+QvP3FqHt2qZwNIEQRS4kx5yCJ57jHrGtKl3a1cyby14GqjaiCH+a0xylv3gtjyiTX9jQ6xqCg==";
const ED25519_DERIVED: &str =
    "vault:v1:6yV3nPdIJAru4259ld1QRcXMFWnjpIGrKjZuOxx9SvcnZCCIWkLzx5ZTwp8cRKzZgPGvBRsklC91hQOkHxbIAg==";
const ED25519_DERIVED_PUBLIC: &str = "/VoMPwX3uEMXEFQDyRAY3OilmAYKialZOZVtCiixC2g=";
const RSA_KEY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDKkIAezs6eIjs+8fXb/fBzZz9T32wG0f/oLWDSh7RYyuFErhbM\
    RHmBP4zrf8kAmMSZX8rZfXj4xTGvTb+bifKhXr9Bfr0IOBdGpIPlcZfrXIt/ruc1uhJ+6QgJJUjjij6CHX5OeWg7uJOpZ7WcGeGy\
    i8gOdleiwJXfGl2AqzEj/VDVJ2Vd0FR8d70dQ0yLa+Xqdp5jHGWET16OqLy9qyi+vDhuM6ytP5DDfhH0HVv9CcyzQh1PFs37D6K4\
    hGKs9h5YnuK9gJV3tHlV7XWSlYSm3iu7NaFOqOmJ8nKPt7lRAWduyGWTrUE1p0pp6KQqMBPgkkqAb9T8MiUrwJxRlexdAgMBAAEC\
    ggEAHDT/Aks+Dlsp8Nv0pou3/fn0oZNNEa4Qep5HC0oGXQ7zS4MKfatTWCInV2vV65VaWxkxwBNu0wVyo7yp39jXxozRCSfC3vAg\
    nZ+vFjY5N3cNndwXKi4dATsl+VAN1FGd3rSIsBjL4PUU6tQcP/6CpUA9vXXRQkKbHBQpzQ8Jqr8N+ptJMG9ozHYQy/XC486UyhP7\
    WK1IxsM9OniPmcpK3vC4/zCJfq5r5Z+TzpaAW6Fz7VMjs9236AcW9pViRmzzC6xm6oRS6unddWPzt2MQ8K9qVV3qS7MwfaIFhMCK\
    KM5tfc1EYpzFnzdAzL6NNUpj45Z4e3HmRuDjQNCPyxhdQQKBgQD0u2tBgabu9UGQ/9EIREIOvG5SR741UiB39WpZ64Imn+G3mzW1\
    7C9EjdBEURaXywc/RGBS5HtN1F6ihe740L+RVd8NFXYc5/94b3Ng26YdnQhiNSzQL3f4W4PuAYOLPLQ0fZmkOmzkNG8j338ad0Js\
    a+Yhnuo41ZbgawGUiERxOQKBgQDT5BCGf2fq1WVDkMeFJUqzT6w/aLeFMQEtPbBUgTS3IbnorJMC81Wucg+biCTsavXUU3k9vKWb\
    CCSohF9q/NS4pEliOdGnbdrOilDB+wXVrm7AsYH0JCSJtByhbVNZEqh4j1+BAFniQDLut8MUjzOjXF6fbgziFwh/jsNjsYaoRQKB\
    gQCeF/RRfM+5zfVtFdSS4oVJv7AEtxPIniUbWQ46yEhrax0E3t7zhn+CaZoAh+FwbVdhJ2qSIccFoAsCMkMNuMwHttFAQnzqb3Q4\
    +MYv67SDrM2do3wvgHqflX7EYXX4nF5NClYWISf2w2iIY/hXwHLIV2tyjJYB4Ph2QKnkqaKNAQKBgDZSyDHTRC8emqGh4qUuFGK4\
    UG7JSBOrpqOUpzpjDcLNsL4IUIB3JkZdE8dKNj0uhuvyoqjDTqnagpt5pITnYRoddHrsW+XS8j/1khLJaouH9vkMCUcwZPWw6Y4x\
    WycA85RFHbUTA/hPgT9WeXsx44lESzYQntjwEsuxLELI5r8JAoGAGGz7wRo3g1d7lL3Tpo8BpIs5dgKRYaNsp1Prv//VVBFA+onN\
    +rq7YX2Lk7vFyGm0RD4zu6bE5KssAk4Bs9E/3dxvBjSD3ZizoHVblrRHQjVuy2Ls02SNN+YxLyqgT7WMfnlqLVlekgaRsO4lUvD6\
    Zsw6RwYLvpRWgmjwvg9MfcA=";
const RSA_CIPHERTEXT: &str = "vault:v1:h1OMk0lTKrWNMvFjOePedHoeyJi0ehmjnaPxi3RnrAja5a8WC0OQMlymtGkI4DOttI7QsPnN8fPFATlg/sCsIuB+f2l\
    2eR9e3XhlryIYsKS+aItqf2itES08+MkpyevpNVZCb/dGpXuUNMB3wQARwJb4syZpOl3ZAS+WKRa72Pf9qPED52GcQ+sRcP8PV75\
    niPIkSfCoyACO2nfX9bqhekuKScjrXNNKlBkwG3uFyfWRHuiotbCqfFFcbYSRzTElwT6dNcI4H1WCk5zQxKrAz28JHMpgCB23Pq+\
    pgQbaQsDCGeizHG2BBWMEAKL7pb9DC8x/Aou/lqb+IW1azGQpNA==";
const RSA_PSS_20_SHA224: &str = "vault:v1:XqyBjrI1orF4RiIHerWcQ84/H3pkfxjXC9uCxknWpe4hZRcT1jP0BhufpMGCmfZwhIodd9FL9cn/xlONGr6CwubPQ/p\
    98dH+9pDeuHpZl4B4s5zr3j6zEH0I/JTmn+H4ZATaysOaCxlD90+rbCvNvch/8XiNcegMwiiWU1U/HeQ7tVe/g5ilh8KQtowpzjs\
    +nTVQd2Z5Owmm6cs3xX72hffUND3P+mkxv0C8dLx9ZuNnBzbeAZxgVliAnp9shxf5OKZddyycfNpngHRFshYtCPCXErOTULvFnSF\
    p19CNXWw666d2AQk9Vv3BLDx0v9jqdVfuWUdTiQeZFSTm0LB4Ng==";
const RSA_PKCS1_SHA3: &str = "vault:v1:gFs95ez+A6bGDi2+0AVjb0uaUf0c4hkcy1MMwbkd8l2c2jhBlliGygUU1zqEekkfOmNNOiJ1EIp2NjHKUKGUzUmPvXV\
    8BidMcSBMRWdah7LIRtaa/ss4IIxQ9tK9GQ1Lhwnkb7zeyrvjEMFhXexF60p8mTX3spQcRTOy7f0yQWojxcXER6yLkhO47iAhiP4\
    3gAUqJUEw8gJJk69bIrYcC+aDIRv+iZWUW9N12X8QkWg6sFQbsdEkDkwDkrjxbdOOvPESSivATTbi9KEeGvW7k1Z2M7ev+42htns\
    FcpcXPlnWymenr9PTuMUhqyHY/rZOF8MblPzt1uqqFnLj6w8eKg==";
const RSA_PKCS1_SHA1: &str = "vault:v1:vGboZRpvdfAEGBb4hfU7Y/iJGZe1agUfotyg+R2ddMMCrR685g4u4WaaEOO6ae/d/a0d/0VKA2QjbfWW7i2DEeimzog\
    NwFoo/tg5nay+1r9kO+mXZzCjSww91rSC5LtmqKIoZKa2l6DdgkkZQ6msGbtDrsi9WCEukzGJgwkAJZWFOM2ILmEg8s1eH8mBLY1\
    vVflt0aGDOLOs+tL+1fYvPq4PQNA5mwlJOiCMzvg8isG+YaZ0l3GaS6QKAGofGExzXHF55sV5R/GYIk55u4tZzqHlljDzxS6CKpZ\
    oVamkNBTOF5tRBqt+pLICqgh1TEzxBNSZ0nu08gLaRL5V8nx2Kg==";
const P384_KEY: &str = "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDDSFO7TDGcanqh+pJeCoifXqWjYQHhaOqp2nm1poKkZxCJZOo8sLujT\
    QDYRgKjZKoqhZANiAASheKMwe7FLY922njnT5Id62T7Xtz+eIoLz+T7GXKg+/e68utycGM1DOpQtX+pc+nZ9jUvLVeifjsmYL0qx\
    K5MTMT/mqTFndv+I353rHRd/oALXMcH5N9FZnJk3EWYSwEU=";
const P384_SHA3_512: &str = "vault:v1:MGQCMArij4DYxJGbEEJsfBA+d74l4kRrNv3FKJKYJd33Jh5oCyuFqUIbf2kj+S4ov0Ys+wIwM4gsG5yyW2kRzJ5m/er\
    Buqv4IfORoz2FovN3DfYi52ErfgStpGveTMzKp0F3RJOQ";
const P384_JWS: &str = "vault:v1:veRbzCW3zMYzED2DPMhuxM0XLSe4wbQjReLg05qPP8sddXOBeM320TAxEvmdhGa2bOqxQRKkYBnS8v2s7a06zeZrK4D\
    _Oy0te42IjxA8hAjR_4ugKmj-PxwS_oWjQhqF";
const HMAC_SHA3_512: &str =
    "vault:v1:TC6ugU8TyL5GwvaVEfBChrpEDz2YKLJPwiNglrbPv+S4iplzw8JxnHR5HX+Ac3PnaEMzo7Jve2DiUCkLCOIX4g==";
const HMAC_SHA3_224: &str = "vault:v1:z9wPfDrk98QT9/pWw6g+ZWyH4G0du9k1ypEoYQ==";

fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn verifies(harness: &mut Harness, path: &str, body: Value) -> Value {
    done(harness, "POST", &format!("verify/{path}"), body)["valid"].clone()
}

#[test]
fn ciphertexts_of_others_open_with_an_imported_key() {
    let mut harness = harness();
    let short = &secret()[..16];
    for (kind, key, ciphertext) in [
        ("aes256-gcm96", &secret()[..], AES256),
        ("aes128-gcm96", short, AES128),
        ("chacha20-poly1305", &secret()[..], CHACHA),
        ("xchacha20-poly1305", &secret()[..], XCHACHA),
    ] {
        import(&mut harness, kind, kind, key, json!({}));
        let body = json!({ "ciphertext": ciphertext, "associated_data": AAD });
        assert_eq!(done(&mut harness, "POST", &format!("decrypt/{kind}"), body)["plaintext"], HELLO, "{kind}");
        let mut broken = decoded(ciphertext.rsplit(':').next().unwrap());
        for place in 0..broken.len() {
            broken[place] ^= 1;
            let body =
                json!({ "ciphertext": format!("vault:v1:{}", STANDARD.encode(&broken)), "associated_data": AAD });
            let refusal = refused(&mut harness, "POST", &format!("decrypt/{kind}"), body);
            assert!(refusal.ends_with("message authentication failed"), "{kind} {place}: {refusal}");
            broken[place] ^= 1;
        }
    }
}

#[test]
fn derived_keys_and_convergent_nonces_are_those_of_others() {
    let mut harness = harness();
    import(&mut harness, "d", "aes256-gcm96", &secret(), json!({ "derived": true }));
    let body = json!({ "ciphertext": DERIVED, "context": CONTEXT });
    assert_eq!(done(&mut harness, "POST", "decrypt/d", body)["plaintext"], HELLO);
    import(&mut harness, "c", "aes256-gcm96", &secret(), json!({ "derived": true, "convergent_encryption": true }));
    let body = json!({ "plaintext": HELLO, "context": CONTEXT });
    assert_eq!(done(&mut harness, "POST", "encrypt/c", body)["ciphertext"], CONVERGENT);
    let body = json!({ "ciphertext": CONVERGENT, "context": CONTEXT });
    assert_eq!(done(&mut harness, "POST", "decrypt/c", body)["plaintext"], HELLO);
}

#[test]
fn ed25519_signs_as_others_do_derived_too() {
    let mut harness = harness();
    import(&mut harness, "e", "ed25519", &decoded(ED25519_KEY), json!({}));
    assert_eq!(done(&mut harness, "POST", "sign/e", json!({ "input": HELLO }))["signature"], ED25519);
    import(&mut harness, "d", "ed25519", &decoded(ED25519_KEY), json!({ "derived": true }));
    let signed = done(&mut harness, "POST", "sign/d", json!({ "input": HELLO, "context": CONTEXT }));
    assert_eq!(
        (&signed["signature"], &signed["public_key"]),
        (&json!(ED25519_DERIVED), &json!(ED25519_DERIVED_PUBLIC))
    );
    let body = json!({ "input": HELLO, "context": CONTEXT, "signature": ED25519_DERIVED });
    assert_eq!(verifies(&mut harness, "d", body), true);
    let body = json!({ "input": HELLO, "context": AAD, "signature": ED25519_DERIVED });
    assert_eq!(verifies(&mut harness, "d", body), false);
}

#[test]
fn rsa_decrypts_and_verifies_what_others_made() {
    let mut harness = harness();
    import(&mut harness, "r", "rsa-2048", &decoded(RSA_KEY), json!({}));
    assert_eq!(done(&mut harness, "POST", "decrypt/r", json!({ "ciphertext": RSA_CIPHERTEXT }))["plaintext"], HELLO);
    for (hash, algorithm, salt, signature, expected) in [
        ("sha2-224", "pss", "20", RSA_PSS_20_SHA224, true),
        ("sha2-224", "pss", "auto", RSA_PSS_20_SHA224, true),
        ("sha2-224", "pss", "hash", RSA_PSS_20_SHA224, false),
        ("sha2-256", "pss", "20", RSA_PSS_20_SHA224, false),
        ("sha2-224", "pkcs1v15", "", RSA_PSS_20_SHA224, false),
        ("sha3-256", "pkcs1v15", "", RSA_PKCS1_SHA3, true),
        ("sha2-256", "pkcs1v15", "", RSA_PKCS1_SHA3, false),
        ("sha1", "pkcs1v15", "", RSA_PKCS1_SHA1, true),
    ] {
        let body =
            json!({ "input": HELLO, "signature": signature, "signature_algorithm": algorithm, "salt_length": salt });
        assert_eq!(verifies(&mut harness, &format!("r/{hash}"), body), expected, "{hash} {algorithm} {salt}");
    }
}

#[test]
fn ecdsa_verifies_what_others_made_in_both_forms() {
    let mut harness = harness();
    import(&mut harness, "p", "ecdsa-p384", &decoded(P384_KEY), json!({}));
    let body = json!({ "input": HELLO, "signature": P384_SHA3_512 });
    assert_eq!(verifies(&mut harness, "p/sha3-512", body.clone()), true);
    assert_eq!(verifies(&mut harness, "p/sha2-512", body), false);
    let body = json!({ "input": HELLO, "signature": P384_JWS, "marshaling_algorithm": "jws" });
    assert_eq!(verifies(&mut harness, "p", body), true);
}

#[test]
fn hmacs_are_those_of_others() {
    let mut harness = harness();
    import(&mut harness, "h", "hmac", &secret(), json!({}));
    for (hash, expected) in [("sha3-512", HMAC_SHA3_512), ("sha3-224", HMAC_SHA3_224)] {
        let data = done(&mut harness, "POST", &format!("hmac/h/{hash}"), json!({ "input": HELLO }));
        assert_eq!(data["hmac"], expected);
        let body = json!({ "input": HELLO, "hmac": expected });
        assert_eq!(verifies(&mut harness, &format!("h/{hash}"), body), true);
    }
}

#[test]
fn every_type_signs_with_every_hash_in_every_form_what_it_verifies() {
    let mut harness = harness();
    let hashes =
        ["sha1", "sha2-224", "sha2-256", "sha2-384", "sha2-512", "sha3-224", "sha3-256", "sha3-384", "sha3-512"];
    for kind in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519", "ml-dsa"] {
        done(&mut harness, "POST", &format!("keys/{kind}"), json!({ "type": kind }));
        for hash in hashes {
            for (algorithm, salt, form) in
                [("pss", "auto", "asn1"), ("pss", "hash", "jws"), ("pss", "1", "asn1"), ("pkcs1v15", "", "jws")]
            {
                let mut body = json!({
                    "input": HELLO, "signature_algorithm": algorithm, "salt_length": salt, "marshaling_algorithm": form,
                });
                let signed = done(&mut harness, "POST", &format!("sign/{kind}/{hash}"), body.clone());
                body["signature"] = signed["signature"].clone();
                let path = format!("{kind}/{hash}");
                assert_eq!(verifies(&mut harness, &path, body.clone()), true, "{path} {algorithm} {salt} {form}");
                body["input"] = json!("eA==");
                assert_eq!(verifies(&mut harness, &path, body), false, "{path} {algorithm} {salt} {form}");
            }
        }
    }
}

#[test]
fn a_prehashed_input_is_signed_as_the_hash_that_it_is() {
    let mut harness = harness();
    let hash = super::super::hash::HashAlgorithm::Sha256.digest(b"hello world");
    for kind in ["ecdsa-p256", "rsa-2048"] {
        done(&mut harness, "POST", &format!("keys/{kind}"), json!({ "type": kind }));
        let body = json!({ "input": STANDARD.encode(&hash), "prehashed": true });
        let signed = done(&mut harness, "POST", &format!("sign/{kind}"), body);
        let body = json!({ "input": HELLO, "signature": signed["signature"] });
        assert_eq!(verifies(&mut harness, kind, body), true, "{kind}");
    }
    let bare = json!({
        "input": HELLO, "prehashed": true, "hash_algorithm": "none", "signature_algorithm": "pkcs1v15",
    });
    let signed = done(&mut harness, "POST", "sign/rsa-2048", bare.clone());
    let mut body = bare;
    body["signature"] = signed["signature"].clone();
    assert_eq!(verifies(&mut harness, "rsa-2048", body.clone()), true);
    body["input"] = json!("eA==");
    assert_eq!(verifies(&mut harness, "rsa-2048", body), false);
}
