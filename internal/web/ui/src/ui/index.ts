export { Button, ButtonLink, Code, Copy } from "./button";
export { Chart, type Series } from "./chart";
export { Confirm, Dialog, toast, Toasts } from "./dialog";
export { Check, Field, Input, Select, unplaced } from "./form";
export { Card, Chips, Empty, Failed, Loaded, Meter, Page, Progress, Tabs, Tile } from "./page";
export { Note, Shape, Status, type Tone } from "./status";
export { type Column, Table } from "./table";
export { Until, useNow, When } from "./time";
export * from "./theme";
