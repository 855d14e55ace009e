package ses

import "time"

// SetPatience sets how long Register waits for SNS.
func (a *Adapter) SetPatience(d time.Duration) { a.patience = d }
