/**
 * Disks whose power can be cut: ext4 on a loop device, in memory. Two ways to cut it:
 *   copy   stop the writer, copy what has reached the device, mount the copy elsewhere: many cuts in one life
 *   fell   shut the mounted file system down at once, in the middle of whatever it is writing (EXT4_IOC_SHUTDOWN)
 * What was written and not synced is in the page cache of the file system and is lost by either.
 */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Scratch {
  readonly folder: string
  /** A new disk with an empty ext4 on it. */
  makeDisk(name: string, megabytes: number): Promise<Disk>
}

export interface Disk {
  readonly image: string
  /** In a folder of its own, unless one is named. */
  mount(at?: string): Promise<Mounted>
  /** The disk as it would be found had power gone now; whoever writes to it must be stopped. */
  copy(name: string): Promise<Disk>
}

export interface Mounted {
  readonly folder: string
  remount(options: string): Promise<void>
  unmount(): Promise<void>
}

/** Memory for all disks, until this process ends; only for programs that have their mounts to themselves. */
export async function openScratch(megabytes: number): Promise<Scratch> {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-power-'))
  process.on('exit', () => {
    spawnSync('umount', ['--recursive', '--lazy', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
  await mounted(folder, ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'plinth-power'])
  let mounts = 0

  const diskOf = (image: string): Disk => ({
    image,
    mount(at = `${image}.at-${++mounts}`) {
      mkdirSync(at, { recursive: true })
      // The file system's own timers must not write while it is being copied.
      return mounted(at, ['-o', 'loop,noatime,commit=900', image])
    },
    async copy(name) {
      const copied = join(folder, name)
      await run('cp', ['--sparse=auto', '--reflink=never', image, copied])
      return diskOf(copied)
    },
  })

  return {
    folder,
    async makeDisk(name, size) {
      const image = join(folder, name)
      rmSync(image, { force: true })
      await run('truncate', ['-s', `${size}M`, image])
      await run('mkfs.ext4', ['-q', '-b', '4096', '-m', '0', '-E', 'lazy_itable_init=0,lazy_journal_init=0,nodiscard', image])
      return diskOf(image)
    },
  }
}

async function mounted(folder: string, args: readonly string[]): Promise<Mounted> {
  await run('mount', [...args, folder])
  return {
    folder,
    remount: async (options) => { await run('mount', ['-o', `remount,${options}`, folder]) },
    unmount: async () => { await run('umount', [folder]) },
  }
}

/** EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: from this moment nothing more reaches the device. */
const AXE = `
  my ($at, $said) = @ARGV;
  open(my $folder, '<', $at) or die "open: $!";
  $| = 1; print "ready\\n";
  my $seconds = <STDIN>; defined $seconds or exit;
  select(undef, undef, undef, $seconds);
  my $how = pack('L', 2);
  my $bytes = -s $said;
  ioctl($folder, 0x8004587d, $how) or die "ioctl: $!";
  print $bytes;
`

export interface Axe {
  /**
   * Cuts power so many milliseconds from now; resolves when it is gone, with how long the file was at that moment in
   * which the writer says what it did. What is said later does not count: without power nobody would have said it.
   */
  fell(afterMs: number): Promise<number>
}

/** Started before it is needed, so that it falls within a part of a millisecond of when it should. */
export async function raiseAxe({ folder }: Mounted, saidFile: string): Promise<Axe> {
  const axe = spawn('perl', ['-e', AXE, folder, saidFile])
  let complaint = '', bytes = ''
  axe.stderr.on('data', (chunk: Buffer) => { complaint += chunk.toString() })
  const gone = once(axe, 'close')
  await once(axe.stdout, 'data')
  axe.stdout.on('data', (chunk: Buffer) => { bytes += chunk.toString() })
  return {
    async fell(afterMs) {
      axe.stdin.write(`${afterMs / 1_000}\n`)
      const [code] = await gone as [number | null]
      if (code !== 0) throw new Error(`the power could not be cut: ${complaint}`)
      return Number(bytes)
    },
  }
}
