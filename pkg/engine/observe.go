package engine

// Observer is told how work goes on. Its method is called from many
// goroutines and must return at once.
type Observer interface {
	Observe(Event)
}

// Phase is how far the backup or the restore of one database is.
type Phase string

// The phases, in the order in which they are reached; a restore goes from
// PhaseDownloading to PhasePlanning and PhaseRestoring, and a comparison on to
// PhaseComparing. PhaseFailed may follow any of them, and PhaseWaiting may follow
// PhaseFailed.
const (
	PhasePlanned     Phase = "planned"
	PhaseWaiting     Phase = "waiting"
	PhaseExporting   Phase = "exporting"
	PhaseDownloading Phase = "downloading"
	PhasePublishing  Phase = "publishing"
	PhasePlanning    Phase = "planning"
	PhaseRestoring   Phase = "restoring"
	PhaseComparing   Phase = "comparing"
	PhaseDone        Phase = "done"
	PhaseSkipped     Phase = "skipped"
	PhaseFailed      Phase = "failed"
)

// Event is one piece of news about one database.
type Event struct {
	Database string
	Phase    Phase
	// Attempt is the number of the try, from 1.
	Attempt int
	// Bytes is how much of the dump was read in this try; Total is how much
	// was promised, -1 where nothing was.
	Bytes, Total int64
	// Detail is a word on what is waited for, how far a restore or a comparison is,
	// or why it failed. It may hold names out of a dump.
	Detail string
}

type silent struct{}

// Observe does nothing.
func (silent) Observe(Event) {}
