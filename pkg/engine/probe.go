package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// prober is the run that tries what a store can do.
type prober interface {
	id() backup.RunID
	now() time.Time
	warn(error)
}

// conditions is what the store keeps: from the newest record of it in the
// bucket, else by trying it once and leaving that record. When neither can be
// had, the store is taken to keep nothing, which costs longer names only.
func (e *Engine) conditions(ctx context.Context, r prober) store.Conditions {
	prober, ok := e.opts.Store.(store.Prober)
	if !ok {
		return store.Conditions{Single: true, Multipart: true}
	}
	known, found, err := e.recordedConditions(ctx)
	if found || err != nil {
		if err != nil {
			r.warn(fmt.Errorf("look for what the store can do: %w", err))
		}
		return known
	}
	now := r.now()
	conditions, err := prober.Probe(ctx, backup.ProbeKey(now, r.id()))
	if err != nil {
		r.warn(fmt.Errorf("try what the store can do: %w", err))
		return store.Conditions{}
	}
	err = record(ctx, e, backup.CapabilityKey(now, r.id()), manifest.Capability{
		Host: e.opts.Host, Tool: e.opts.Tool, At: now,
		SingleConditional: conditions.Single, MultipartConditional: conditions.Multipart,
	})
	if err != nil {
		r.warn(fmt.Errorf("record what the store can do: %w", err))
	}
	return conditions
}

// recordedConditions reads the newest capability record.
func (e *Engine) recordedConditions(ctx context.Context) (store.Conditions, bool, error) {
	var newest string
	for info, err := range e.opts.Store.List(ctx, backup.RecordPrefix(backup.RecordCapability)) {
		if err != nil {
			return store.Conditions{}, false, err
		}
		if backup.IsRecordKey(info.Key) {
			newest = info.Key // keys end in their time, and come in order
		}
	}
	if newest == "" {
		return store.Conditions{}, false, nil
	}
	body, err := e.readDocument(ctx, newest)
	if err != nil {
		return store.Conditions{}, false, err
	}
	record, err := manifest.Decode[manifest.Capability](body)
	if err != nil {
		return store.Conditions{}, false, err
	}
	return store.Conditions{Single: record.SingleConditional, Multipart: record.MultipartConditional}, true, nil
}
