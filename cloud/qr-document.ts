/**
 * Turns the image of a code into its text, in a thread of its own: bounded in size, time and memory, one image at a time.
 * A thread that takes too long or breaks is ended and replaced; who asked gets a reason, never an exception.
 */
import { Worker } from 'node:worker_threads'
import { IMAGE_BYTES_MAX, type Refusal, type Unreadable } from './svg-gate.js'

export type CodeReading = { readonly payload: string } | Refusal

export type { Refusal, Unreadable }

/** To the thread. */
export interface CodeJob {
  readonly job: number
  readonly image: Uint8Array
}

/** From the thread. Not reusable: it wants to be replaced. */
export type CodeNews =
  | { readonly news: 'ready' }
  | { readonly news: 'done'; readonly job: number; readonly reading: CodeReading; readonly reusable: boolean }

export interface CodeReader {
  /** The text of the only code in a PNG or SVG: 1..512 printable ASCII characters. Never rejects. */
  read(image: Uint8Array): Promise<CodeReading>
  /** Loads the decoders now, so that the first image does not wait for it. Never rejects; false when they do not load. */
  warm(): Promise<boolean>
  /** Ends the thread; whoever still waits is answered. */
  close(): Promise<void>
}

export interface CodeReaderOptions {
  /** Default: the one beside this file. */
  readonly workerUrl?: URL
  /** For one image, default 3 000; its time in the queue does not count. */
  readonly timeoutMs?: number
  /** For the decoders to load, default 15 000. */
  readonly startTimeoutMs?: number
  /** Images that may wait, default 64. */
  readonly queueMax?: number
}

/** Of the thread's own heap. The decoders' memory is bounded by the size of the pictures that they are given. */
const HEAP_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 }

export function createCodeReader(options: CodeReaderOptions = {}): CodeReader {
  return new ThreadedReader(options)
}

interface Waiting {
  readonly image: Uint8Array
  readonly answer: (reading: CodeReading) => void
}

interface Running extends Waiting {
  readonly job: number
}

interface Thread {
  readonly worker: Worker
  ready: boolean
}

class ThreadedReader implements CodeReader {
  private readonly workerUrl: URL
  private readonly timeoutMs: number
  private readonly startTimeoutMs: number
  private readonly queueMax: number
  private readonly queue: Waiting[] = []
  private warmers: ((warm: boolean) => void)[] = []
  private thread: Thread | undefined
  private running: Running | undefined
  private timer: NodeJS.Timeout | undefined
  private jobs = 0
  private closed = false

  constructor(options: CodeReaderOptions) {
    this.workerUrl = options.workerUrl ?? new URL('./qr-document-worker.js', import.meta.url)
    this.timeoutMs = options.timeoutMs ?? 3_000
    this.startTimeoutMs = options.startTimeoutMs ?? 15_000
    this.queueMax = options.queueMax ?? 64
  }

  read(image: Uint8Array): Promise<CodeReading> {
    if (this.closed) return Promise.resolve(CLOSED)
    if (image.byteLength > IMAGE_BYTES_MAX) {
      return Promise.resolve({ unreadable: 'too large', text: `${image.byteLength} bytes` })
    }
    if (this.queue.length >= this.queueMax) {
      return Promise.resolve({ unreadable: 'too busy', text: `${this.queueMax} images are waiting` })
    }
    return new Promise((answer) => {
      // A copy of its own: it moves to the thread, and a Buffer may share its memory with others.
      this.queue.push({ image: new Uint8Array(image), answer })
      this.advance()
    })
  }

  warm(): Promise<boolean> {
    if (this.closed) return Promise.resolve(false)
    if (this.thread?.ready === true) return Promise.resolve(true)
    return new Promise((resolve) => {
      this.warmers.push(resolve)
      this.advance()
    })
  }

  async close(): Promise<void> {
    this.closed = true
    const waiting = this.queue.splice(0)
    const worker = this.thread?.worker
    this.replace(CLOSED)
    for (const { answer } of waiting) answer(CLOSED)
    await worker?.terminate()
  }

  /** The one place where things begin: a thread when there is work and none, an image when the thread is free. */
  private advance(): void {
    const wanted = this.queue.length > 0 || this.warmers.length > 0
    if (this.closed || this.running !== undefined || !wanted) return
    if (this.thread === undefined) {
      this.start()
      return
    }
    if (!this.thread.ready) return
    const next = this.queue.shift()
    if (next === undefined) return
    this.jobs += 1
    const { worker } = this.thread
    this.running = { ...next, job: this.jobs }
    // Only work under way keeps the process alive.
    worker.ref()
    this.limit(this.timeoutMs, { unreadable: 'timeout', text: `not read within ${this.timeoutMs} ms` })
    const job: CodeJob = { job: this.jobs, image: next.image }
    worker.postMessage(job, [next.image.buffer as ArrayBuffer]) // A Uint8Array made here never lies over shared memory.
  }

  private start(): void {
    const worker = new Worker(this.workerUrl, { resourceLimits: HEAP_LIMITS })
    const thread: Thread = { worker, ready: false }
    this.thread = thread
    const isCurrent = (): boolean => this.thread === thread
    worker.on('message', (news: CodeNews) => { if (isCurrent()) this.heard(thread, news) })
    worker.on('error', () => { if (isCurrent()) this.replace(BROKEN) })
    worker.on('exit', () => { if (isCurrent()) this.replace(BROKEN) })
    this.limit(this.startTimeoutMs, { unreadable: 'timeout', text: `no decoders within ${this.startTimeoutMs} ms` })
  }

  private heard(thread: Thread, news: CodeNews): void {
    switch (news.news) {
      case 'ready':
        thread.ready = true
        clearTimeout(this.timer)
        thread.worker.unref()
        this.tellWarmers(true)
        break
      case 'done': {
        const { running } = this
        if (running === undefined || running.job !== news.job) return
        if (news.reusable) {
          this.running = undefined
          clearTimeout(this.timer)
          thread.worker.unref()
          running.answer(news.reading)
        } else this.replace(news.reading)
        break
      }
    }
    this.advance()
  }

  private limit(ms: number, reading: Refusal): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => { this.replace(reading) }, ms)
  }

  /** Ends the thread. What it was doing, or would have done first, is answered; the rest gets a new one. */
  private replace(reading: CodeReading): void {
    clearTimeout(this.timer)
    const worker = this.thread?.worker
    const unlucky = this.running ?? this.queue.shift()
    this.thread = undefined
    this.running = undefined
    this.tellWarmers(false)
    void worker?.terminate()
    unlucky?.answer(reading)
    this.advance()
  }

  private tellWarmers(warm: boolean): void {
    const warmers = this.warmers
    this.warmers = []
    for (const tell of warmers) tell(warm)
  }
}

const CLOSED: Refusal = { unreadable: 'closed', text: 'the reader is closed' }
const BROKEN: Refusal = { unreadable: 'reader broken', text: 'the reader broke off' }
