// Package programtest builds the program for tests that run it.
package programtest

import (
	"context"
	"fmt"
	"os/exec"
)

// Build builds the program as the calling test is built: with the race detector, or without. The file is at path.
func Build(ctx context.Context, path string) error {
	args := append([]string{"build", "-ldflags=-s -w"}, flags...)
	if out, err := exec.CommandContext(ctx, "go", append(args, "-o", path, "postyard/cmd/postyard")...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return nil
}
