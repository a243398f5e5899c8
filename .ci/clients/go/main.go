// Drives a server through HashiCorp's own Go client, as a program would that was written for Vault.
//
// It takes the address and a root token from VAULT_ADDR and VAULT_TOKEN. Each check prints a line; the last line is
// `N passed, N failed`, and the exit code is 1 if any failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
)

var (
	ctx            = context.Background()
	passed, failed int
)

// check runs one behaviour that programs rely on.
func check(name string, behaviour func() error) {
	if err := behaviour(); err != nil {
		failed++
		fmt.Printf("FAIL %s: %v\n", name, err)
		return
	}
	passed++
	fmt.Printf("ok   %s\n", name)
}

func same(what string, got, want any) error {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("%s is %#v, not %#v", what, got, want)
}

func status(err error) int {
	var answer *vault.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func withToken(root *vault.Client, token string) *vault.Client {
	client, err := root.Clone()
	if err != nil {
		panic(err)
	}
	client.SetToken(token)
	return client
}

func main() {
	root, err := vault.NewClient(vault.DefaultConfig())
	if err != nil {
		panic(err)
	}
	node(root)
	secrets(root)
	mounts(root)
	tokens(root)
	wrapping(root)
	approle(root)
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

func node(root *vault.Client) {
	check("health and seal status", func() error {
		health, err := root.Sys().Health()
		if err != nil {
			return err
		}
		seal, err := root.Sys().SealStatus()
		if err != nil {
			return err
		}
		return first(same("initialized", health.Initialized, true), same("sealed", seal.Sealed, false))
	})
	check("leader and key status", func() error {
		if _, err := root.Sys().Leader(); err != nil {
			return err
		}
		key, err := root.Sys().KeyStatus()
		if err != nil {
			return err
		}
		return same("term", key.Term, 1)
	})
	check("every path has help", func() error {
		for _, path := range []string{"sys/mounts", "secret/data/app", "auth/token/create"} {
			help, err := root.Help(path)
			if err != nil {
				return err
			}
			if help.Help == "" {
				return fmt.Errorf("%s has none", path)
			}
		}
		return nil
	})
	check("what is not set up is empty", func() error {
		audit, err := root.Sys().ListAudit()
		if err != nil {
			return err
		}
		cors, err := root.Sys().CORSStatus()
		if err != nil {
			return err
		}
		return first(same("audit devices", len(audit), 0), same("cors", cors.Enabled, false))
	})
}

func secrets(root *vault.Client) {
	kv := root.KVv2("secret")
	check("versions of a secret", func() error {
		for _, word := range []string{"one", "two"} {
			if _, err := kv.Put(ctx, "go/app", map[string]any{"word": word}); err != nil {
				return err
			}
		}
		newest, err := kv.Get(ctx, "go/app")
		if err != nil {
			return err
		}
		older, err := kv.GetVersion(ctx, "go/app", 1)
		if err != nil {
			return err
		}
		return first(same("word", newest.Data["word"], "two"), same("version", newest.VersionMetadata.Version, 2),
			same("older word", older.Data["word"], "one"))
	})
	check("a write that names an older version is refused", func() error {
		_, err := kv.Put(ctx, "go/app", map[string]any{"word": "late"}, vault.WithCheckAndSet(1))
		if status(err) != 400 || !strings.Contains(err.Error(), "check-and-set parameter did not match") {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	check("a patch keeps the other fields", func() error {
		if _, err := kv.Patch(ctx, "go/app", map[string]any{"more": "x"}); err != nil {
			return err
		}
		newest, err := kv.Get(ctx, "go/app")
		if err != nil {
			return err
		}
		return same("data", newest.Data, map[string]any{"word": "two", "more": "x"})
	})
	check("a deleted secret comes back", func() error {
		if err := kv.Delete(ctx, "go/app"); err != nil {
			return err
		}
		gone, err := kv.Get(ctx, "go/app")
		if err != nil {
			return err
		}
		if err := kv.Undelete(ctx, "go/app", []int{3}); err != nil {
			return err
		}
		back, err := kv.Get(ctx, "go/app")
		if err != nil {
			return err
		}
		return first(same("data of the deleted", len(gone.Data), 0), same("word", back.Data["word"], "two"))
	})
	check("settings of a secret are reset by null", func() error {
		input := vault.KVMetadataPutInput{MaxVersions: 7, CustomMetadata: map[string]any{"team": "red"}}
		if err := kv.PutMetadata(ctx, "go/app", input); err != nil {
			return err
		}
		if err := kv.PatchMetadata(ctx, "go/app", vault.KVMetadataPatchInput{CustomMetadata: map[string]any{"team": nil}}); err != nil {
			return err
		}
		metadata, err := kv.GetMetadata(ctx, "go/app")
		if err != nil {
			return err
		}
		return first(same("max versions", metadata.MaxVersions, 7), same("notes", len(metadata.CustomMetadata), 0))
	})
	check("a list, and a list of nothing", func() error {
		some, err := root.Logical().List("secret/metadata/go")
		if err != nil {
			return err
		}
		none, err := root.Logical().List("secret/metadata/none")
		if err != nil {
			return err
		}
		return first(same("keys", some.Data["keys"], []any{"app"}), same("nothing", none, (*vault.Secret)(nil)))
	})
}

func mounts(root *vault.Client) {
	check("tuning one setting leaves the others", func() error {
		config := vault.MountConfigInput{DefaultLeaseTTL: "1h", MaxLeaseTTL: "2h"}
		if err := root.Sys().Mount("go-kv", &vault.MountInput{Type: "kv", Config: config}); err != nil {
			return err
		}
		description := "tuned"
		if err := root.Sys().TuneMount("go-kv", vault.MountConfigInput{Description: &description}); err != nil {
			return err
		}
		tuned, err := root.Sys().MountConfig("go-kv")
		if err != nil {
			return err
		}
		return first(same("default", tuned.DefaultLeaseTTL, 3600), same("longest", tuned.MaxLeaseTTL, 7200))
	})
	check("version 1 of KV, moved and unmounted", func() error {
		kv := root.KVv1("go-kv")
		if err := kv.Put(ctx, "app", map[string]any{"word": "plain"}); err != nil {
			return err
		}
		if err := root.Sys().Remount("go-kv", "go-moved"); err != nil {
			return err
		}
		moved, err := root.KVv1("go-moved").Get(ctx, "app")
		if err != nil {
			return err
		}
		return first(same("word", moved.Data["word"], "plain"), root.Sys().Unmount("go-moved"))
	})
}

func tokens(root *vault.Client) {
	check("a policy is what a token may do", func() error {
		if err := root.Sys().PutPolicy("go-reader", `path "secret/data/go/*" { capabilities = ["read"] }`); err != nil {
			return err
		}
		made, err := root.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"go-reader"}, TTL: "1h"})
		if err != nil {
			return err
		}
		reader := withToken(root, made.Auth.ClientToken)
		if _, err := reader.KVv2("secret").Get(ctx, "go/app"); err != nil {
			return err
		}
		_, err = reader.KVv2("secret").Put(ctx, "go/app", map[string]any{"word": "no"})
		if err := same("status of the write", status(err), 403); err != nil {
			return err
		}
		if err := root.Auth().Token().RevokeTree(made.Auth.ClientToken); err != nil {
			return err
		}
		_, err = reader.Auth().Token().LookupSelf()
		return same("status of a revoked token", status(err), 403)
	})
	check("a watcher keeps a token alive", func() error {
		made, err := root.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"default"}, TTL: "3s"})
		if err != nil {
			return err
		}
		watcher, err := withToken(root, made.Auth.ClientToken).NewLifetimeWatcher(&vault.LifetimeWatcherInput{Secret: made})
		if err != nil {
			return err
		}
		go watcher.Start()
		defer watcher.Stop()
		for renewals := 0; renewals < 3; {
			select {
			case <-watcher.RenewCh():
				renewals++
			case err := <-watcher.DoneCh():
				return fmt.Errorf("ended after %d renewals: %v", renewals, err)
			case <-time.After(30 * time.Second):
				return fmt.Errorf("no renewal after %d", renewals)
			}
		}
		return nil
	})
}

func wrapping(root *vault.Client) {
	check("a wrapped reply opens once", func() error {
		wrapper, err := root.Clone()
		if err != nil {
			return err
		}
		wrapper.SetToken(root.Token())
		wrapper.SetWrappingLookupFunc(func(string, string) string { return "1m" })
		wrapped, err := wrapper.Logical().Read("secret/data/go/app")
		if err != nil {
			return err
		}
		opened, err := root.Logical().Unwrap(wrapped.WrapInfo.Token)
		if err != nil {
			return err
		}
		_, again := root.Logical().Unwrap(wrapped.WrapInfo.Token)
		data, _ := opened.Data["data"].(map[string]any)
		return first(same("word", data["word"], "two"), same("status of the second time", status(again), 400))
	})
}

func approle(root *vault.Client) {
	check("a login by role", func() error {
		if err := root.Sys().EnableAuthWithOptions("go-role", &vault.EnableAuthOptions{Type: "approle"}); err != nil {
			return err
		}
		role := map[string]any{"token_policies": "go-reader", "token_ttl": "10m"}
		if _, err := root.Logical().Write("auth/go-role/role/app", role); err != nil {
			return err
		}
		id, err := root.Logical().Read("auth/go-role/role/app/role-id")
		if err != nil {
			return err
		}
		secret, err := root.Logical().Write("auth/go-role/role/app/secret-id", nil)
		if err != nil {
			return err
		}
		login := map[string]any{"role_id": id.Data["role_id"], "secret_id": secret.Data["secret_id"]}
		session, err := withToken(root, "").Logical().Write("auth/go-role/login", login)
		if err != nil {
			return err
		}
		return first(same("policies", session.Auth.Policies, []string{"default", "go-reader"}),
			same("life", session.Auth.LeaseDuration, 600), same("renewable", session.Auth.Renewable, true))
	})
	check("a wrong secret id is refused", func() error {
		login := map[string]any{"role_id": "none", "secret_id": "none"}
		_, err := withToken(root, "").Logical().Write("auth/go-role/login", login)
		if status(err) != 400 || !strings.Contains(err.Error(), "invalid role or secret ID") {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
}
