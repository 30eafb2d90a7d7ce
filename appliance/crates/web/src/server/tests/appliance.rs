//! The system below the server: who may see it, who may change it, and the fresh proof.

use super::support::{PASSWORD, Running, login_body, run};
use crate::core::{Order, Wifi};

const RESET: &str = "/api/box/factory-reset";

/// Device tokens of an owner, an admin and a member.
async fn three(running: &Running) -> [String; 3] {
    let owner = running.claim().await;
    let mut client = running.client().await;
    let mut tokens = vec![owner.clone()];
    for (name, role) in [("cy", "admin"), ("bo", "member")] {
        let body = format!(r#"{{"name":"{name}","password":"{PASSWORD}","role":"{role}"}}"#);
        assert_eq!(client.post("/api/users", &owner, &body).await.status, 201);
        let session = client.post("/api/login", "", &login_body(name, PASSWORD)).await;
        tokens.push(session.json["token"].as_str().unwrap().to_owned());
    }
    tokens.try_into().unwrap()
}

#[test]
fn the_system_is_shown_and_set_by_those_who_manage_the_box() {
    let running = Running::start();
    run(async {
        let [owner, admin, member] = three(&running).await;
        let mut client = running.client().await;
        for (token, status) in [("", 401), (&member, 403), (&admin, 200), (&owner, 200)] {
            assert_eq!(client.get("/api/box", token).await.status, status);
            let time = client.post("/api/box/time", token, r#"{"time_ms":5}"#).await;
            assert_eq!(time.status, status);
            assert_eq!(client.post("/api/box/restart", token, "{}").await.status, status);
        }
        assert_eq!(client.get("/api/box", &owner).await.json["host_name"], "linnet");
        let orders = [Order::SetTime(5), Order::Restart, Order::SetTime(5), Order::Restart];
        assert_eq!(running.core.orders(), orders);
    });
}

#[test]
fn settings_are_carried_out_in_order_and_a_refusal_names_its_field() {
    let running = Running::start();
    run(async {
        let owner = running.claim().await;
        let mut client = running.client().await;
        let settings = "/api/box/settings";
        let body = r#"{"host_name":"attic","wifi":{"ssid":"home","passphrase":"12345678"}}"#;
        assert_eq!(client.post(settings, &owner, body).await.status, 200);
        let wifi = Wifi { ssid: "home".into(), passphrase: Some("12345678".into()), country: None };
        assert!(!format!("{wifi:?}").contains("12345678"));
        let expected = [Order::SetHostName("attic".into()), Order::SetWifi(Some(wifi))];
        assert_eq!(running.core.orders(), expected);
        let refused = client.post(settings, &owner, r#"{"host_name":"Not A Name"}"#).await;
        assert_eq!((refused.status.as_u16(), &refused.json["field"]), (409, &"host_name".into()));
        for empty in ["{}", r#"{"wifi":{"ssid":"a"},"forget_wifi":true}"#, r#"{"colour":1}"#] {
            assert_eq!(client.post(settings, &owner, empty).await.status, 400, "{empty}");
        }
        assert_eq!(client.post(settings, &owner, r#"{"forget_wifi":true}"#).await.status, 200);
        assert_eq!(running.core.orders().last(), Some(&Order::SetWifi(None)));
    });
}

#[test]
fn a_factory_reset_wants_the_owners_password_anew() {
    let running = Running::start();
    run(async {
        let [owner, admin, _] = three(&running).await;
        let mut client = running.client().await;
        let right = format!(r#"{{"password":"{PASSWORD}"}}"#);
        assert_eq!(client.post(RESET, "", &right).await.status, 401);
        assert_eq!(client.post(RESET, &admin, &right).await.status, 403);
        assert_eq!(client.post(RESET, &owner, "{}").await.status, 400);
        let wrong = client.post(RESET, &owner, r#"{"password":"wrong horse"}"#).await;
        assert_eq!((wrong.status.as_u16(), &wrong.json["field"]), (403, &"password".into()));
        assert_eq!(running.core.orders(), []);
        assert_eq!(client.post(RESET, &owner, &right).await.status, 200);
        assert_eq!(running.core.orders(), [Order::FactoryReset]);
    });
}

#[test]
fn wrong_passwords_for_a_factory_reset_are_slowed() {
    let running = Running::start();
    run(async {
        let owner = running.claim().await;
        let mut client = running.client().await;
        for _ in 0..crate::limits::WRONG_TRIES_MAX {
            let wrong = client.post(RESET, &owner, r#"{"password":"wrong horse"}"#).await;
            assert_eq!(wrong.status, 403);
        }
        let right = format!(r#"{{"password":"{PASSWORD}"}}"#);
        assert_eq!(client.post(RESET, &owner, &right).await.status, 429);
        assert_eq!(running.core.orders(), []);
    });
}
