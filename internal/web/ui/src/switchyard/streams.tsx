// The message streams of a server, fetched from its provider and chosen from.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { post, type Refusal, useAction } from "../api";
import type { Kind, Stream, StreamsRequest } from "../schema";
import { Button, Note, Progress } from "../ui";

/** The streams that a connection opens: those that were fetched for this one and no other. */
export function useStreams(asks: StreamsRequest, before?: () => void) {
  const of = JSON.stringify(asks);
  const [fetched, setFetched] = useState<{ of: string; list: Stream[] }>();
  const fetch = useAction(async () => {
    before?.();
    setFetched(undefined);
    setFetched({ of, list: await post<Stream[]>("/account/tpsp/streams", asks) });
  });
  return { list: fetched?.of === of ? fetched.list : undefined, fetch };
}

interface StreamChoiceProps {
  of: ReturnType<typeof useStreams>;
  kind: Kind;
  chosen: string;
  onChoose: (id: string) => void;
  /** What is missing to fetch them. */
  needs?: string;
  /** A refusal; it stands here when it is about the stream. */
  error?: Refusal;
  /** What stands here before they are fetched. */
  children?: ComponentChildren;
}

/** Fetches the streams of a server and lets one be chosen. */
export const StreamChoice = ({ of: { list, fetch }, kind, chosen, onChoose, needs, error, children }: StreamChoiceProps) => (
  <div class="stack">
    <div class="row">
      <Button busy={fetch.busy} disabled={!!needs} onClick={() => void fetch.run()}>Fetch message streams</Button>
      {needs && <span class="small quiet">needs the {needs}</span>}
    </div>
    {fetch.busy && <Progress label={`${kind.title} is asked for the streams of this token.`} />}
    {list?.length === 0 && <Note tone="warn">This server has no stream that sends. Make one at {kind.title}, and fetch again.</Note>}
    {list && list.length > 0 && (
      <fieldset class="stack-tight" aria-describedby={error?.field === "messageStream" ? "stream-wrong" : undefined}>
        <legend>Choose one message stream</legend>
        {list.map((s) => (
          <label key={s.id} class="choice" data-chosen={chosen === s.id ? "" : undefined}>
            <input type="radio" name="messageStream" value={s.id} checked={chosen === s.id} onChange={() => onChoose(s.id)} />
            <span class="choice-words"><b><bdi>{s.name}</bdi></b> <code>{s.id}</code></span>
            <span class="small quiet"><bdi>{s.type}</bdi></span>
          </label>
        ))}
      </fieldset>
    )}
    {error?.field === "messageStream" && <span class="wrong small" id="stream-wrong" role="alert">{error.message}</span>}
    {!list && !fetch.busy && children}
  </div>
);
