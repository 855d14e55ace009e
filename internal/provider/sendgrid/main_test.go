package sendgrid_test

import (
	"testing"

	"postyard/internal/leaktest"
)

func TestMain(m *testing.M) {
	leaktest.Main(m)
}
