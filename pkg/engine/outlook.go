package engine

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// Outlook is for how long a database will answer nobody while a backup is loaded,
// as a restore or a drill before took for its own.
type Outlook struct {
	// About is zero where nothing was restored yet that could be compared.
	About time.Duration
	// By is the id of the job that was measured.
	By string
}

const (
	// outlookRecords is how many restores are looked at, the newest.
	outlookRecords = 6
	// outlookRatio is how many times larger or smaller than what is to be
	// restored a restore may be to tell anything of it.
	outlookRatio = 100
)

// outlook estimates how long the loading of that many bytes takes, from the
// measured restore whose size is nearest. It is an estimate: where no record can
// be read there is none.
func (e *Engine) outlook(ctx context.Context, bytes int64) Outlook {
	ends, err := e.newestRestores(ctx)
	if err != nil {
		e.opts.Log.Debug("no restore tells how long this one will take", "error", err)
		return Outlook{}
	}
	var nearest Outlook
	distance := math.Log(outlookRatio)
	for _, end := range ends {
		took := end.Restored.UnavailableSeconds
		ratio := float64(max(bytes, 1)) / float64(end.Restored.Bytes)
		if d := math.Abs(math.Log(ratio)); d < distance {
			about := time.Duration(took * ratio * float64(time.Second))
			nearest, distance = Outlook{About: max(about.Round(time.Second), time.Second), By: end.Job.ID}, d
		}
	}
	return nearest
}

// newestRestores are the end records of the newest restores and drills that loaded
// something, in that order.
func (e *Engine) newestRestores(ctx context.Context) ([]manifest.End, error) {
	infos, err := e.runRecords(ctx)
	if err != nil {
		return nil, err
	}
	infos = slices.DeleteFunc(infos, func(info store.Info) bool {
		name, isEnd, err := backup.ParseRunKey(info.Key)
		job := backup.Job{ID: name.JobID}
		return err != nil || !isEnd || !job.IsRestore() && !job.IsDrill()
	})
	slices.SortFunc(infos, func(a, b store.Info) int { return strings.Compare(b.Key, a.Key) })
	jobs, _, err := e.histories(ctx, infos[:min(len(infos), outlookRecords)])
	if err != nil {
		return nil, err
	}
	var ends []manifest.End
	for _, h := range jobs {
		for _, end := range h.ends {
			if end.Restored != nil && end.Restored.Bytes > 0 && end.Restored.UnavailableSeconds > 0 {
				ends = append(ends, end)
			}
		}
	}
	slices.SortFunc(ends, func(a, b manifest.End) int { return b.EndedAt.Compare(a.EndedAt) })
	return ends, nil
}
