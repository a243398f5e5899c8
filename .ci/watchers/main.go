// Watchers keeps tokens alive the way Go programs do: with HashiCorp's own client and its LifetimeWatcher, one for each
// of many tokens, against all nodes of a cluster. It says when all of them run, waits until its standard input ends, and
// then reports as one line of JSON how many renewals there were and how many watchers ended before they were told to.
//
// A LifetimeWatcher ends for good at the first refusal, and after a spell of errors. So one that ended is a program that
// lost its access because a cluster changed its leader.
//
// VAULT_CACERT and VAULT_TOKEN say whom to trust and who makes the tokens; the arguments are the nodes' URLs.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	vault "github.com/hashicorp/vault/api"
)

const (
	watchers = 200
	ttl      = "60s"
)

// Report is what the watchers went through.
type Report struct {
	Watchers int      `json:"watchers"`
	Renewals int64    `json:"renewals"`
	Ended    []string `json:"ended"`
}

// clientOf begins at one node and goes to the next that takes a connection, as with a name that has several addresses.
func clientOf(nodes []string, first int) (*vault.Client, error) {
	config := vault.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = nodes[first%len(nodes)]
	transport := config.HttpClient.Transport.(*http.Transport)
	dialer := net.Dialer{Timeout: time.Second}
	addresses := make([]string, len(nodes))
	for i, node := range nodes {
		parsed, err := url.Parse(node)
		if err != nil {
			return nil, err
		}
		addresses[i] = parsed.Host
	}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var last error
		for i := range addresses {
			connection, err := dialer.DialContext(ctx, network, addresses[(first+i)%len(nodes)])
			if err == nil {
				return connection, nil
			}
			last = err
		}
		return nil, last
	}
	return vault.NewClient(config)
}

// watch starts one watcher and returns once it runs.
func watch(nodes []string, number int, renewals *atomic.Int64, stop <-chan struct{}, ended chan<- string, all *sync.WaitGroup) error {
	client, err := clientOf(nodes, number)
	if err != nil {
		return err
	}
	renewable := true
	secret, err := client.Auth().Token().Create(&vault.TokenCreateRequest{TTL: ttl, Renewable: &renewable, NoParent: true})
	if err != nil {
		return err
	}
	client.SetToken(secret.Auth.ClientToken)
	watcher, err := client.NewLifetimeWatcher(&vault.LifetimeWatcherInput{Secret: secret})
	if err != nil {
		return err
	}
	all.Add(1)
	go watcher.Start()
	go func() {
		defer all.Done()
		defer watcher.Stop()
		for {
			select {
			case <-stop:
				return
			case <-watcher.RenewCh():
				renewals.Add(1)
			case err := <-watcher.DoneCh():
				ended <- fmt.Sprintf("watcher %d: %v", number, err)
				return
			}
		}
	}()
	return nil
}

func run(nodes []string) (Report, error) {
	var renewals atomic.Int64
	var all sync.WaitGroup
	stop, ended := make(chan struct{}), make(chan string, watchers)
	for number := range watchers {
		if err := watch(nodes, number, &renewals, stop, ended, &all); err != nil {
			return Report{}, fmt.Errorf("watcher %d: %w", number, err)
		}
		// Renewals spread over a token's whole life, so that some meet every moment of a change of leader.
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Println("watching")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return Report{}, err
	}
	close(stop)
	all.Wait()
	close(ended)
	report := Report{Watchers: watchers, Renewals: renewals.Load(), Ended: []string{}}
	for reason := range ended {
		report.Ended = append(report.Ended, reason)
	}
	return report, nil
}

func main() {
	report, err := run(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
