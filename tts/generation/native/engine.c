/* The native engine: frames of several utterances in step, on one core, without Python.
 *
 * The model is `TwoTier` (tts/models/two_tier.py): an LSTM that takes a step a frame (the frame tier), and a
 * multilayer perceptron that takes a step a sample (the sample tier). Here it computes with rounded numbers:
 *
 * - A weight matrix W (outputs x inputs) is w[o][i] = scale[o] x q[o][i], q an integer in [-127, 127]; where W
 *   multiplies past samples in the sample tier, one of at most max(127, min(2047, (2^24 - 1) / (H Q / 2))).
 * - What it multiplies is x[i] = step x a[i], a an integer, so small that  sum_i q[o][i] a[i]  is exact in int32, in
 *   whatever order it is taken.
 * - y[o] = start[o] + float(sum) x (scale[o] x step), float32, each operation rounded by itself (no fused
 *   multiply-add: compile with -ffp-contract=off).
 *
 * How x is rounded (`tts/generation/rounding.py` does the same with numpy and torch):
 *
 * - what enters the frame tier and what it makes: states of the LSTM, embeddings of units, codes of the previous frame,
 *   all in [-1, 1]: a = round(63 x), step = 1 / 63. The rounded state is the state: all that reads it, reads a. They are
 *   kept as a + 64, which has 7 bits: products of two neighbors with int8 then fit in int16.
 * - codes, as inputs of the sample tier: a = code - Q/2, step = 2/Q; exact. The taps around one pitch lag ago are such
 *   inputs as well.
 * - with a rank, the features of the upsampling: a = round(x (63 / m)), step = m / 63, m the largest |x| of the vector
 *   (at least 1e-30; |x| at most 1e30), kept as a + 64; outputs of a ReLU likewise, with 127 for 63 and no 64 more.
 *   "round": to the nearest, ties to even.
 *
 * What is not a product with a matrix is float32 in one order (float64 where the pitch is found), whatever the width of
 * the processor's vectors: 16 lanes, and their sums by a fixed tree. So the same weights, texts and seeds give the same
 * codes on every machine.
 *
 * Letters: F frame_size, H history, D the frame tier's width, G = 4 D its gates, S the sample tier's width, Q codes,
 * r rank, U units, V pitch_window, K pitch lags, J pitch_taps. A width with a + is padded with zeros.
 *
 * This file is compiled once for each instruction set, with ENGINE_ISA its name, and once without, which gives
 * `engine_isa()`, the best of them for this processor. EXPORT, too, is set by scripts/build_engine.py.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef ENGINE_ISA
#if defined(__x86_64__)
#include <cpuid.h>

static int bit(unsigned word, int k) { return word >> k & 1; }

/* The best of the instruction sets that were compiled; "" where the processor has none of them. */
EXPORT const char *engine_isa(void)
{
    unsigned a, b, c, d, b7 = 0, c1, c81 = 0, saved = 0, high;
    if (!__get_cpuid(1, &a, &b, &c1, &d) || !bit(c1, 9) || !bit(c1, 19) || !bit(c1, 20) || !bit(c1, 23)) return "";
    if (bit(c1, 27)) __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0)); /* what the system saves of registers */
    if (__get_cpuid_max(0, 0) >= 7) __cpuid_count(7, 0, a, b7, c, d);
    __get_cpuid(0x80000001, &a, &b, &c81, &d);
    int v3 = (saved & 6) == 6 && bit(b7, 5) && bit(b7, 3) && bit(b7, 8); /* AVX2, BMI1, BMI2 */
    v3 = v3 && bit(c1, 12) && bit(c1, 29) && bit(c1, 22) && bit(c81, 5); /* FMA, F16C, MOVBE, LZCNT */
    int v4 = v3 && (saved & 0xe6) == 0xe6 && bit(b7, 16) && bit(b7, 17) && bit(b7, 28) && bit(b7, 30) && bit(b7, 31);
    return v4 ? "v4" : v3 ? "v3" : "v2";
}
#else
EXPORT const char *engine_isa(void) { return "neon"; }
#endif
/* To be raised, here and in library.py, with every change of a function's arguments or of the packed weights. */
EXPORT int32_t engine_version(void) { return 7; }
#else /* ENGINE_ISA */

#define JOIN_(name, isa) name##_##isa
#define JOIN(name, isa) JOIN_(name, isa)
#define NAME(name) JOIN(name, ENGINE_ISA)
#include "vectors.h"

/* ---- The model, as tts/generation/native/layout.py packs it ---------------------------------------------------- */

/* The config's numbers, and what follows from them about rounding. */
typedef struct {
    int32_t codes, frame, history, n_rnn, dim, sample_dim, hidden_layers, rank, unit_dim, text_dim;
    int32_t n_speakers, clock_frames, explicit_durations;
    int32_t pitch_taps, shortest_lag, longest_lag, pitch_window; /* all 0 without pitch taps */
} Shape;

/* A matrix, in one of three layouts.
 *
 * PANELS: int8. For each PANEL of outputs and each four of inputs 128 bytes: (output 0, input 0), (output 0, input 1),
 * (output 0, input 2), (output 0, input 3), (output 1, input 0) … */
enum { PANEL = 32, BLOCK = 64, MAX_LAYERS = 16 }; /* all widths of outputs are multiples of BLOCK */
typedef struct {
    int pairs, outputs;      /* outputs+, a multiple of BLOCK */
    const float *scale;      /* (outputs+) */
    const int32_t *origin;   /* PANELS: (outputs+), -64 x the sum of a row, where its sums begin */
    const void *weights;
} Table;

/* WIDE: a matrix of int16, for each BLOCK of outputs and each pair of inputs their weights (output 0, input 0), (output
 * 0, input 1), (output 1, input 0) …: those on past samples.
 *
 * ROWS: an int8 matrix, for each BLOCK of outputs as rows of their weights, one for each input, and a row of zeros. Byte
 * 16 L + 4 m + t of a row belongs to output 16 m + 4 L + t, so that outputs come out in order. */
typedef enum { PANELS, WIDE, ROWS } Kind;

typedef struct {
    Shape shape;
    int D, G, S, Q, T, R, P; /* dim+, gates, sample_dim+, codes+, text_dim+, rank+ (0: none); samples kept before a frame */
    float code_step;                      /* 2/Q */
    const float *unit, *unit_bias;        /* (unit_dim, T+), (T+) */
    const uint8_t *end;                   /* (T+): the embedding after the last unit, rounded */
    const float *speaker;                 /* (n_speakers, G+): the first layer's bias, and what a speaker adds to it */
    Table context;                        /* embeddings of this unit and the next, T+ each, to gates */
    const float *clock, *left;            /* (clock_frames, G+): frames since the unit began; frames left */
    const float *pitch;                   /* (2, G+): weights of correlation and log lag on the gates */
    const float *log_lag, *wave;          /* (K), lags as the frame tier's input; (Q), codes as samples */
    const float *gate_bias[MAX_LAYERS];   /* (G+), of the layers above the first */
    const float *c0[MAX_LAYERS];          /* (D+) */
    const uint8_t *h0[MAX_LAYERS];        /* (D+) */
    const uint8_t *rounded_codes;         /* (Q): as the frame tier gets them */
    Table frames, inputs[MAX_LAYERS], recurrent[MAX_LAYERS]; /* previous frame; layer below; own state */
    const float *advance, *advance_bias;  /* (D+), (1); implicit durations alone */
    int gate;                             /* where the gate begins in what follows: F R+ or F S+, + */
    const float *upsample_bias;           /* (gate), with pitch taps (gate + S+) */
    Table upsample, widen;                /* states to places and gate; a place's features to S; PANELS, as all before */
    Table samples, taps;                  /* WIDE: past samples to S; J samples to S */
    const float *correlation;             /* (S+): weights of the correlation on the first layer */
    const float *last;                    /* (Q, S+): what the last code adds */
    const float *hidden_bias[MAX_LAYERS]; /* (S+) */
    Table hidden[MAX_LAYERS];             /* ROWS */
    const float *output_bias;             /* (Q+) */
    Table output;                         /* code q lies in column (q % depth) x 16 + q / depth, depth = Q+ / 16 */
} Model;

static int padded(int width, int to) { return (width + to - 1) / to * to; }
static int within(int value, int least, int most) { return least <= value && value <= most; }
static int greater(int a, int b) { return a > b ? a : b; }

/* A walk along the packed weights; `at` goes past `size` where they are too few. */
typedef struct { const uint8_t *begin; size_t at, size; } Walk;

static const void *take(Walk *walk, size_t count, size_t width)
{
    const void *here = walk->begin + walk->at;
    walk->at += (count * width + 63) / 64 * 64;
    return walk->at <= walk->size ? here : walk->begin;
}

static const float *take_floats(Walk *walk, size_t count) { return take(walk, count, sizeof(float)); }

static Table take_table(Walk *walk, Kind kind, int inputs, int outputs)
{
    Table table = {inputs / 2, outputs, take_floats(walk, outputs), NULL, NULL};
    if (kind == PANELS) table.origin = take(walk, outputs, sizeof(int32_t));
    table.weights = take(walk, (size_t)(kind == ROWS ? inputs + 1 : inputs) * outputs, kind == WIDE ? 2 : 1);
    return table;
}

/* Fill in a model; false if the shape is none, or the weights are not as many as it says. */
static int open_model(Model *m, const Shape *shape, const void *weights, size_t size)
{
    const Shape s = *shape;
    enum { widest = 1 << 16 };
    if (!within(s.codes, 4, 1 << 15) || !within(s.frame, 1, widest) || !within(s.history, 1, widest) ||
        !within(s.n_rnn, 1, MAX_LAYERS) || !within(s.dim, 1, widest) || !within(s.sample_dim, 1, (1 << 15)) ||
        !within(s.hidden_layers, 0, MAX_LAYERS) || !within(s.rank, 0, widest) || !within(s.unit_dim, 1, 1 << 20) ||
        !within(s.text_dim, 1, widest) || !within(s.n_speakers, 1, 1 << 24) || !within(s.clock_frames, 1, 1 << 24) ||
        !within(s.pitch_taps, 0, 63))
        return 0;
    const int J = s.pitch_taps, most = J ? 1 << 13 : 0, around = J ? J / 2 + 1 : 0; /* taps may lie so far from the lag */
    if (!within(s.shortest_lag, around, most) || !within(s.longest_lag, s.shortest_lag, most) ||
        !within(s.pitch_window, around, most))
        return 0;
    if ((int64_t)127 * (s.codes / 2) * s.history > INT32_MAX) return 0;
    m->shape = s;
    m->D = padded(s.dim, 16), m->G = 4 * m->D, m->S = padded(s.sample_dim, BLOCK), m->Q = padded(s.codes, BLOCK);
    m->T = padded(s.text_dim, 16), m->R = s.rank ? padded(s.rank, 16) : 0;
    int history = padded(s.history, 2);
    m->P = greater(history, s.pitch_window + s.longest_lag);
    m->code_step = 1.0f / (float)(s.codes / 2);
    Walk walk = {weights, 0, size};
    size_t G = m->G;
    m->unit = take_floats(&walk, (size_t)s.unit_dim * m->T);
    m->unit_bias = take_floats(&walk, m->T);
    m->end = take(&walk, m->T, 1);
    m->speaker = take_floats(&walk, s.n_speakers * G);
    m->context = take_table(&walk, PANELS, 2 * m->T, m->G);
    m->clock = take_floats(&walk, s.clock_frames * G);
    m->left = take_floats(&walk, s.explicit_durations ? s.clock_frames * G : 0);
    m->pitch = take_floats(&walk, J ? 2 * G : 0);
    m->log_lag = take_floats(&walk, J ? s.longest_lag - s.shortest_lag + 1 : 0);
    m->wave = take_floats(&walk, J ? s.codes : 0);
    m->rounded_codes = take(&walk, s.codes, 1);
    m->frames = take_table(&walk, PANELS, padded(s.frame, 4), m->G);
    for (int k = 0; k < s.n_rnn; k++) {
        if (k) {
            m->gate_bias[k] = take_floats(&walk, G);
            m->inputs[k] = take_table(&walk, PANELS, m->D, m->G);
        }
        m->recurrent[k] = take_table(&walk, PANELS, m->D, m->G);
        m->c0[k] = take_floats(&walk, m->D);
        m->h0[k] = take(&walk, m->D, 1);
    }
    m->advance = take_floats(&walk, s.explicit_durations ? 0 : m->D);
    m->advance_bias = take_floats(&walk, s.explicit_durations ? 0 : 1);
    m->gate = padded(s.frame * (m->R ? m->R : m->S), BLOCK);
    m->upsample_bias = take_floats(&walk, m->gate + (J ? m->S : 0));
    m->upsample = take_table(&walk, PANELS, m->D, m->gate + (J ? m->S : 0));
    if (m->R) m->widen = take_table(&walk, PANELS, m->R, m->S);
    m->samples = take_table(&walk, WIDE, history, m->S);
    if (J) m->taps = take_table(&walk, WIDE, padded(J, 2), m->S);
    m->correlation = take_floats(&walk, J ? m->S : 0);
    m->last = take_floats(&walk, (size_t)s.codes * m->S);
    for (int k = 0; k < s.hidden_layers; k++) {
        m->hidden_bias[k] = take_floats(&walk, m->S);
        m->hidden[k] = take_table(&walk, ROWS, m->S, m->S);
    }
    m->output_bias = take_floats(&walk, m->Q);
    m->output = take_table(&walk, ROWS, m->S, m->Q);
    return walk.at == size;
}

/* ---- Products --------------------------------------------------------------------------------------------------- */

/* y = start + float(sum) x (scale x step), for the outputs of a register from `at` on. */
INLINE void add_scaled(float *y, const float *start, part_sums sum, const float *scale, float step, int at)
{
    part_floats value = __builtin_convertvector((part_ints)sum, part_floats) * (READ(part_floats, scale + at) * step);
    WRITE(y + at, part_floats, READ(part_floats, start + at) + value);
}

/* Two int16 inputs, in every pair of lanes. */
INLINE shorts pair_of(const int16_t *x) { return (shorts)(ints)READ(int32_t, x); }

/* y = start + W x, of one vector: x is `step` times integers, and 64 more. */
typedef struct {
    float *y;
    const float *start;
    const uint8_t *x;
    float step;
} Job;

static const float STATE_LIMIT = 63.0f, STATE_STEP = 1.0f / 63.0f;
enum { STATE_ZERO = 64 };

/* y = start + float(sum) x (scale x step), for the outputs of a panel and `n` vectors of inputs. */
INLINE void multiply_panel(const Table *t, int at, const Job *jobs, const int n)
{
    enum { PARTS = 4 * PANEL / WIDTH, PAGE = 4096 }; /* of memory: where the processor itself stops reading ahead */
    const int8_t *words = (const int8_t *)t->weights + (ptrdiff_t)at * t->pairs * 2;
    part_sums totals[TOGETHER][PARTS];
#pragma clang loop unroll(full)
    for (int j = 0; j < n; j++)
        for (int p = 0; p < PARTS; p++) totals[j][p] = READ(part_sums, t->origin + at + p * (WIDTH / 4));
#pragma clang loop unroll_count(2)
    for (int k = 0; k < t->pairs / 2; k++, words += 4 * PANEL) {
        __builtin_prefetch(words + PAGE), __builtin_prefetch(words + PAGE + 64);
#pragma clang loop unroll(full)
        for (int p = 0; p < PARTS; p++) {
            bytes w = READ(bytes, words + p * WIDTH);
#pragma clang loop unroll(full)
            for (int j = 0; j < n; j++) totals[j][p] += sums_of_fours(w, READ(uint32_t, jobs[j].x + 4 * k));
        }
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < n; j++)
        for (int p = 0; p < PARTS; p++)
            add_scaled(jobs[j].y, jobs[j].start, totals[j][p], t->scale, jobs[j].step, at + p * (WIDTH / 4));
}

/* All jobs with one matrix: a panel of weights is read once for all of them. */
static void multiply(const Table *t, const Job *jobs, int n)
{
    for (int at = 0; at < t->outputs; at += PANEL) {
        int j = 0;
        for (; j + TOGETHER <= n; j += TOGETHER) multiply_panel(t, at, jobs + j, TOGETHER);
        for (; j < n; j++) multiply_panel(t, at, jobs + j, 1);
    }
}

/* totals[j][v] += sum over the pairs of inputs `first` to `last` of x[j], for `n` vectors of inputs and 16 x `vectors` of
 * outputs. */
INLINE void add_wide(sums *totals, const int n, const int vectors, const int16_t *weights, const int16_t *const *x,
                     int first, int last)
{
    for (int k = first; k < last; k++) {
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) {
            shorts w = READ(shorts, weights + (ptrdiff_t)k * (2 * BLOCK) + 2 * LANES * v);
#pragma clang loop unroll(full)
            for (int j = 0; j < n; j++) totals[j * vectors + v] += sums_of_pairs(w, pair_of(x[j] + 2 * k));
        }
    }
}

/* out[f] (outputs+) = sums of W x[f], x[f] being the inputs from place f on, as many as there were before place 0. */
static void sum_places(int32_t *out, const Table *t, const int16_t *x, int F)
{
    enum { PLACES = 4 };
    for (int at = 0; at < t->outputs; at += LANES) {
        const int16_t *weights = (const int16_t *)t->weights + ((ptrdiff_t)(at - at % BLOCK) * t->pairs + at % BLOCK) * 2;
        for (int f = 0; f < F; f += PLACES) {
            const int16_t *inputs[PLACES];
            sums totals[PLACES] = {0};
            for (int j = 0; j < PLACES; j++) inputs[j] = x + (f + j < F ? f + j : f);
            add_wide(totals, PLACES, 1, weights, inputs, 0, t->pairs - f / 2);
            for (int j = 0; j < PLACES && f + j < F; j++) WRITE(out + (ptrdiff_t)(f + j) * t->outputs + at, sums, totals[j]);
        }
    }
}

/* The outputs of a ReLU that are above 0, by fours; those that are missing to a whole four are 0, of the row of zeros. */
typedef struct {
    int count, fours;
    float step;
    uint32_t *list;          /* (S+ + 8) where their rows begin in a block */
    uint8_t *values;         /* (S+ + 8) */
    uint8_t places[256][8];  /* which bits of a byte are set */
} Active;

/* The halves, low and high, of each 16 lanes of a and b, alternately: [a0 b0 a1 b1 …]; of bytes, and of their pairs. */
#if defined(__AVX512BW__)
#define EACH16(f) f(0), f(16), f(32), f(48)
#elif defined(__AVX2__)
#define EACH16(f) f(0), f(16)
#else
#define EACH16(f) f(0)
#endif
#define TWO(k) k, WIDTH + k
#define LOW8(k) TWO(k), TWO(k + 1), TWO(k + 2), TWO(k + 3), TWO(k + 4), TWO(k + 5), TWO(k + 6), TWO(k + 7)
#define HIGH8(k) LOW8(k + 8)
#define FOUR(k) k, k + 1, WIDTH + k, WIDTH + k + 1
#define LOW4(k) FOUR(k), FOUR(k + 2), FOUR(k + 4), FOUR(k + 6)
#define HIGH4(k) LOW4(k + 8)
#define MIX(a, b, places) __builtin_shufflevector(a, b, EACH16(places))

/* y = start + W x, for the units that are above 0: their rows, four at a time, interleaved to fours of bytes. */
static void multiply_rows(float *y, const float *start, const Table *t, const Active *active)
{
    enum { PARTS = WIDTH < BLOCK ? 2 : 1 }; /* as many columns at a time as leave registers for all sums */
    const ptrdiff_t rows = 2 * t->pairs + 1;
    for (int at = 0; at < t->outputs; at += PARTS * WIDTH) {
        const int8_t *block = (const int8_t *)t->weights + (at - at % BLOCK) * rows + at % BLOCK;
        part_sums totals[PARTS][4] = {0};
        for (int k = 0; k < active->fours; k++) {
            const uint32_t *unit = active->list + 4 * k, four = READ(uint32_t, active->values + 4 * k);
#pragma clang loop unroll(full)
            for (int p = 0; p < PARTS; p++) {
                const int8_t *columns = block + p * WIDTH;
                bytes a = READ(bytes, columns + unit[0]), b = READ(bytes, columns + unit[1]);
                bytes c = READ(bytes, columns + unit[2]), d = READ(bytes, columns + unit[3]);
                bytes ab = MIX(a, b, LOW8), cd = MIX(c, d, LOW8);
                totals[p][0] += sums_of_fours(MIX(ab, cd, LOW4), four);
                totals[p][1] += sums_of_fours(MIX(ab, cd, HIGH4), four);
                ab = MIX(a, b, HIGH8), cd = MIX(c, d, HIGH8);
                totals[p][2] += sums_of_fours(MIX(ab, cd, LOW4), four);
                totals[p][3] += sums_of_fours(MIX(ab, cd, HIGH4), four);
            }
        }
#pragma clang loop unroll(full)
        for (int k = 0; k < 4 * PARTS; k++) {
            int o = at - at % BLOCK + LANES * (k % 4) + (at % BLOCK + k / 4 * WIDTH) / 4;
            add_scaled(y, start, totals[k / 4][k % 4], t->scale, active->step, o);
        }
    }
}

/* y = start + sum over rows, in their order, of x[k] x row k; float32, `width` a multiple of 16. */
static void add_rows(float *y, const float *start, const float *rows, const float *x, int count, int width)
{
    for (int at = 0; at < width; at += LANES) {
        floats sum = load(start + at);
        for (int k = 0; k < count; k++) sum += x[k] * load(rows + (size_t)k * width + at);
        store(y + at, sum);
    }
}

/* ---- Slots: utterances in the making ---------------------------------------------------------------------------- */

typedef struct {
    const float *vectors;    /* (units, unit_dim), the caller's */
    int64_t units, unit, since, unit_cap, frames, frame_cap;
    int64_t first;           /* the unit at hand when the call began */
    int64_t duration;        /* frames of this unit, where durations are explicit */
    int speaker, cut;        /* cut: the duration is the cap, not the model's */
    const float *inverse_temperatures; /* (units), the caller's */
    double spread, survival, threshold; /* implicit durations: see `is_over` */
    int code;                /* the last one */
    int lag;                 /* the pitch lag before the frame, and the correlation there */
    float correlation;
    int16_t *past;           /* (P + F): codes - Q/2 before the frame, then the frame's */
    float *base;             /* (G): bias and context of this unit */
    uint8_t *embedded;       /* (2, T): this unit, the next */
    uint8_t *previous;       /* (F): codes of the previous frame, as the frame tier gets them */
    float *gates, *conditioning, *gate; /* the last: (S+), on what the first layer gets of the past */
    uint8_t *h[MAX_LAYERS];  /* (D) */
    float *c[MAX_LAYERS];    /* (D) */
} Slot;

typedef struct {
    void *memory;            /* all of the group */
    Model model;
    int count;
    Slot *slots, **live;
    Job *jobs;               /* one of each slot, or of each place of a frame */
    float *normed, *embedded, *y, *logits;
    uint8_t *features;       /* (F, R), rounded */
    float *widened, *zeros;  /* (F, S+): W features; (S+) */
    int32_t *older;          /* (F, S+) sums of W history, of what is older than the frame */
    int16_t *recent;         /* (H+ + F): zeros, then the frame's codes - Q/2 */
    double *wave, *squares;  /* (V + longest lag + 1, LANES more): samples, and sums of the squares before them */
    double *cross;           /* (K+): of each lag, the longest first: the newest V samples times those one lag before */
    Active active;
    int64_t positive[MAX_LAYERS + 1]; /* units above 0, by layer, summed over samples */
    int64_t samples;
} Group;

/* Memory of a group: counted at the first pass, where `base` is NULL, and given out at the second. */
typedef struct { uint8_t *base; size_t at; } Arena;

static void *give(Arena *arena, size_t count, size_t width)
{
    void *here = arena->base ? arena->base + arena->at : NULL;
    arena->at += (count * width + 127) / 64 * 64; /* at least 64 bytes to spare after each: loads are 64 wide */
    return here;
}

static void give_all(Arena *arena, Group *g, const Model *m, int count)
{
    const Shape *s = &m->shape;
    const int conditioning = m->upsample.outputs, wave = s->pitch_window + s->longest_lag + 1 + LANES;
    g->slots = give(arena, count, sizeof(Slot));
    g->live = give(arena, count, sizeof(Slot *));
    g->jobs = give(arena, greater(count, s->frame), sizeof(Job));
    g->normed = give(arena, s->unit_dim, sizeof(float));
    g->embedded = give(arena, m->T, sizeof(float));
    g->widened = give(arena, m->R ? (size_t)s->frame * m->S : 0, sizeof(float));
    g->zeros = give(arena, m->S, sizeof(float));
    g->older = give(arena, (size_t)s->frame * m->S, sizeof(int32_t));
    g->recent = give(arena, 2 * m->samples.pairs + s->frame, sizeof(int16_t));
    g->wave = give(arena, wave, sizeof(double));
    g->squares = give(arena, wave, sizeof(double));
    g->cross = give(arena, wave, sizeof(double));
    g->y = give(arena, m->S, sizeof(float));
    g->logits = give(arena, m->Q, sizeof(float));
    g->features = give(arena, conditioning, 1);
    g->active.values = give(arena, m->S + 8, 1);
    g->active.list = give(arena, m->S + 8, sizeof(uint32_t));
    for (int k = 0; k < count; k++) {
        Slot other, *slot = arena->base ? &g->slots[k] : &other;
        slot->past = give(arena, m->P + s->frame, sizeof(int16_t));
        slot->base = give(arena, m->G, sizeof(float));
        slot->embedded = give(arena, 2 * m->T, 1);
        slot->previous = give(arena, s->frame, 1);
        slot->gates = give(arena, m->G, sizeof(float));
        slot->conditioning = give(arena, conditioning, sizeof(float));
        slot->gate = arena->base ? slot->conditioning + m->gate : NULL;
        for (int layer = 0; layer < s->n_rnn; layer++) {
            slot->h[layer] = give(arena, m->D, 1);
            slot->c[layer] = give(arena, m->D, sizeof(float));
        }
    }
}

/* a = round(x `limit`) + 64, |x| `limit` being at most 63. */
INLINE void round_to(uint8_t *a, floats x, float limit)
{
    WRITE(a, bytes16, __builtin_convertvector(rounded(x * limit) + STATE_ZERO, bytes16));
}

/* The embedding of a vector, tanh(W layer_norm(vector) + b); the end's for NULL. */
static void embed(Group *g, uint8_t *out, const float *vector)
{
    const Model *m = &g->model;
    const int n = m->shape.unit_dim;
    if (!vector) return (void)memcpy(out, m->end, m->T);
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < n; i++) sum += vector[i];
    float mean = (float)(sum / n);
    for (int i = 0; i < n; i++) squares += (double)(vector[i] - mean) * (double)(vector[i] - mean);
    float deviation = __builtin_sqrtf((float)(squares / n) + 1e-5f);
    for (int i = 0; i < n; i++) g->normed[i] = (vector[i] - mean) / deviation;
    add_rows(g->embedded, m->unit_bias, m->unit, g->normed, n, m->T);
    for (int at = 0; at < m->T; at += LANES)
        round_to(out + at, hyperbolic_tangent(load(g->embedded + at)), STATE_LIMIT);
}

/* What stays the same during a unit: base = b + speaker + W [this unit, next unit]. */
static void begin_unit(Group *g, Slot *slot)
{
    const Model *m = &g->model;
    const float *vector = slot->vectors + slot->unit * m->shape.unit_dim;
    if (slot->unit) memcpy(slot->embedded, slot->embedded + m->T, m->T);
    else embed(g, slot->embedded, vector);
    embed(g, slot->embedded + m->T, slot->unit + 1 < slot->units ? vector + m->shape.unit_dim : NULL);
    const float *start = m->speaker + (size_t)slot->speaker * m->G;
    multiply(&m->context, &(Job){slot->base, start, slot->embedded, STATE_STEP}, 1);
}

/* ---- The frame tier --------------------------------------------------------------------------------------------- */

#define STEPS 0x1p16                      /* of a correlation of 1 */
#define TO_WHOLE 0x1.8p52                 /* as ROUNDER, of float64 */
static const double FLOOR = 3e-4;

/* The pitch lag before a frame, as tts/models/pitch.py has it: the shortest of those with the largest
 *   round(2^16 sum_t x[t] x[t - lag] / (sqrt(sum_t x[t]^2 sum_t x[t - lag]^2) + V FLOOR^2)),  t the newest V samples,
 * in float64: rounded to steps it hardly ever depends on the order of the sums. */
static void find_pitch(Group *g, Slot *slot)
{
    const Model *m = &g->model;
    const int V = m->shape.pitch_window, low = m->shape.shortest_lag, high = m->shape.longest_lag;
    const int16_t *past = slot->past + m->P - V - high;
    double sum = 0.0, best = -STEPS * STEPS, *wave = g->wave, *newest = wave + high;
    for (int t = 0; t < V + high; t++) { /* squares[t] = sum of x[i]^2, i < t */
        wave[t] = m->wave[past[t] + m->shape.codes / 2];
        g->squares[t] = sum, sum += wave[t] * wave[t];
    }
    g->squares[V + high] = sum;
    for (int k = 0; k <= high - low; k += LANES) { /* cross[k] = sum_t newest[t] wave[t + k]: of lag high - k */
        doubles sums = 0.0;
        for (int t = 0; t < V; t++) sums += newest[t] * READ(doubles, wave + t + k);
        WRITE(g->cross + k, doubles, sums);
    }
    const double now = sum - g->squares[high];
    for (int lag = low, k = high - low; lag <= high; lag++, k--) {
        double energy = __builtin_sqrt((g->squares[k + V] - g->squares[k]) * now) + V * (FLOOR * FLOOR);
        double steps = g->cross[k] / energy * STEPS + TO_WHOLE - TO_WHOLE;
        if (steps > best) best = steps, slot->lag = lag;
    }
    slot->correlation = (float)(best / STEPS);
}

/* c' = sigmoid(f) c + sigmoid(i) tanh(g);  h' = sigmoid(o) tanh(c'), rounded. Gates lie as i, f, g, o, D+ each. */
static void lstm_cell(const float *gates, uint8_t *h, float *c, int D)
{
    for (int d = 0; d < D; d += LANES) {
        floats i = load(gates + d), f = load(gates + D + d), g = load(gates + 2 * D + d), o = load(gates + 3 * D + d);
        floats cell = sigmoid(f) * load(c + d) + sigmoid(i) * hyperbolic_tangent(g);
        store(c + d, cell);
        round_to(h + d, sigmoid(o) * hyperbolic_tangent(cell), STATE_LIMIT);
    }
}

/* One step of the frame tier for the slots `live`, up to the upsampling's output. */
static void step_frames(Group *g, Slot *const *live, int n)
{
    const Model *m = &g->model;
    const Shape *s = &m->shape;
    for (int k = 0; k < n; k++) {
        Slot *slot = live[k];
        if (slot->since == 0) begin_unit(g, slot);
        int64_t last = s->clock_frames - 1, left = slot->duration - slot->since - 1;
        int64_t since = slot->since < last ? slot->since : last;
        const float *clock = m->clock + since * m->G;
        const float *rest = s->explicit_durations ? m->left + (left < last ? left : last) * m->G : NULL;
        for (int at = 0; at < m->G; at += LANES) { /* gates = base + clock (+ frames left) */
            floats sum = load(slot->base + at) + load(clock + at);
            store(slot->gates + at, rest ? sum + load(rest + at) : sum);
        }
        if (s->pitch_taps) { /* gates += W [correlation, log lag] */
            find_pitch(g, slot);
            const float pitch[2] = {slot->correlation, m->log_lag[slot->lag - s->shortest_lag]};
            add_rows(slot->gates, slot->gates, m->pitch, pitch, 2, m->G);
        }
        g->jobs[k] = (Job){slot->gates, slot->gates, slot->previous, STATE_STEP};
    }
    multiply(&m->frames, g->jobs, n); /* gates += W previous frame */
    for (int layer = 0; layer < s->n_rnn; layer++) {
        if (layer) { /* gates = b + W (state of the layer below) */
            for (int k = 0; k < n; k++)
                g->jobs[k] = (Job){live[k]->gates, m->gate_bias[layer], live[k]->h[layer - 1], STATE_STEP};
            multiply(&m->inputs[layer], g->jobs, n);
        }
        for (int k = 0; k < n; k++) g->jobs[k] = (Job){live[k]->gates, live[k]->gates, live[k]->h[layer], STATE_STEP};
        multiply(&m->recurrent[layer], g->jobs, n); /* gates += W state */
        for (int k = 0; k < n; k++) lstm_cell(live[k]->gates, live[k]->h[layer], live[k]->c[layer], m->D);
    }
    for (int k = 0; k < n; k++) /* conditioning, and what the gate is made of = b + W (top state) */
        g->jobs[k] = (Job){live[k]->conditioning, m->upsample_bias, live[k]->h[s->n_rnn - 1], STATE_STEP};
    multiply(&m->upsample, g->jobs, n);
    for (int k = 0; k < n; k++) /* gate = 2 sigmoid(b + W (top state)) */
        for (int at = 0; at < m->upsample.outputs - m->gate; at += LANES)
            store(live[k]->gate + at, 2.0f * sigmoid(load(live[k]->gate + at)));
}

/* ---- The sample tier -------------------------------------------------------------------------------------------- */

static const float RELU_LIMIT = 127.0f, LEAST = 1e-30f, MOST = 1e30f;

/* Round a vector of features: a = round(x (63 / m)); returns the step m / 63. */
static float round_features(uint8_t *a, const float *x, int width)
{
    floats most = LEAST;
    for (int at = 0; at < width; at += LANES)
        most = larger(smaller(larger(load(x + at), -load(x + at)), (floats)MOST), most);
    float m = highest(most), inverse = STATE_LIMIT / m;
    for (int at = 0; at < width; at += LANES)
        round_to(a + at, smaller(larger(load(x + at), (floats)-MOST), (floats)MOST), inverse);
    return m / STATE_LIMIT;
}

/* ReLU: a = round(x (127 / m)), and those of them that are not 0, with the places of their rows. */
INLINE void rectify(Active *active, const float *y, int width)
{
    floats most = LEAST;
    for (int at = 0; at < width; at += LANES) most = larger(smaller(load(y + at), (floats)MOST), most);
    float m = highest(most), inverse = RELU_LIMIT / m;
    typedef uint32_t words8 __attribute__((ext_vector_type(8)));
    typedef _Bool bits __attribute__((ext_vector_type(16)));
    uint32_t *list = active->list;
    uint8_t *values = active->values;
    size_t n = 0;
    words8 first = 0; /* row of the eight units at hand */
    for (int at = 0; at < width; at += LANES) {
        ints whole = rounded(smaller(larger(load(y + at), (floats)0.0f), (floats)MOST) * inverse);
        bytes16 a = __builtin_convertvector(whole, bytes16);
        bits above = __builtin_convertvector(a, bits);
        uint16_t mask = READ(uint16_t, &above);
        for (int half = 0; half < 2; half++, first += 8 * BLOCK) {
            unsigned set = mask >> 8 * half & 255;
            bytes8 places = READ(bytes8, active->places[set]);
            WRITE(list + n, words8, first + __builtin_convertvector(places, words8) * BLOCK);
            WRITE(values + n, bytes8, pick(half ? a.hi : a.lo, places));
            n += (size_t)__builtin_popcount(set);
        }
    }
    active->count = (int)n, active->fours = (active->count + 3) / 4, active->step = m / RELU_LIMIT;
    for (size_t k = n; k < n + 3; k++) list[k] = (uint32_t)(width * BLOCK), values[k] = 0; /* the row of zeros */
}

/* The first code whose running sum of exp((logit - max) / temperature) exceeds u x total. The logits lie in 16 lanes
 * of `depth` neighboring codes each; they are overwritten. */
static int draw(float *logits, int depth, int codes, float uniform, float inverse_temperature)
{
    floats most = load(logits), sums = 0.0f;
    for (int d = 1; d < depth; d++) most = larger(load(logits + d * LANES), most);
    float top = highest(most), scale = inverse_temperature * LOG2_E;
    for (int d = 0; d < depth; d++) {
        floats weight = two_to((load(logits + d * LANES) - top) * scale);
        store(logits + d * LANES, weight);
        sums += weight;
    }
    float totals[LANES];
    store(totals, running(sums));
    float total = totals[LANES - 1], target = uniform * total;
    int part = 0, inside = 0; /* counted, not searched: branches that nobody can predict cost more */
    for (int k = 0; k < LANES - 1; k++) part += totals[k] <= target;
    float sum = part ? totals[part - 1] : 0.0f;
    for (int d = 0; d < depth; d++) {
        sum += logits[d * LANES + part];
        inside += sum <= target;
    }
    int code = part * depth + inside;
    if (inside < depth && code < codes) return code;
    /* Rounding: the running sum ended below the target. The last code that has any weight. */
    code = (part + 1) * depth < codes ? (part + 1) * depth - 1 : codes - 1;
    while (code > 0 && logits[code % depth * LANES + code / depth] <= total * 1e-9f) code--;
    return code;
}

/* y = x + last[code] + W history, x being a place's conditioning. What is older than the frame has been summed.
 * With pitch taps: y = x + last[code] + gate (w correlation + W history + W taps). */
INLINE void first_layer(Group *g, const Slot *slot, int f, const int has_taps)
{
    const Model *m = &g->model;
    const int S = m->S, history = 2 * m->samples.pairs;
    const float *last = m->last + (size_t)slot->code * S;
    const float *place = (m->R ? g->widened : slot->conditioning) + (size_t)f * S;
    const int32_t *older = g->older + (size_t)f * S;
    const int16_t *recent = g->recent + f;
    for (int at = 0; at < S; at += BLOCK) {
        sums totals[BLOCK / LANES];
        memcpy(totals, older + at, sizeof totals);
        const int16_t *weights = (const int16_t *)m->samples.weights + (ptrdiff_t)at * m->samples.pairs * 2;
        add_wide(totals, 1, BLOCK / LANES, weights, &recent, f < history ? (history - f) / 2 : 0, m->samples.pairs);
        sums periodic[BLOCK / LANES] = {0};
        if (has_taps) {
            const int pairs = m->taps.pairs;
            const int16_t *taps = slot->past + m->P + f - slot->lag + (m->shape.pitch_taps + 1) / 2 - 2 * pairs;
            weights = (const int16_t *)m->taps.weights + (ptrdiff_t)at * pairs * 2;
            add_wide(periodic, 1, BLOCK / LANES, weights, &taps, 0, pairs);
        }
#pragma clang loop unroll(full)
        for (int v = 0; v < BLOCK / LANES; v++) {
            int o = at + LANES * v;
            floats past = to_floats(totals[v]) * (load(m->samples.scale + o) * m->code_step);
            if (has_taps) {
                past = slot->correlation * load(m->correlation + o) + past;
                past = past + to_floats(periodic[v]) * (load(m->taps.scale + o) * m->code_step);
                past = past * load(slot->gate + o);
            }
            store(g->y + o, load(place + o) + load(last + o) + past);
        }
    }
}

/* The F samples of a slot's frame. */
static void make_samples(Group *g, Slot *slot, const float *uniforms, int16_t *made)
{
    const Model *m = &g->model;
    const Shape *s = &m->shape;
    const int F = s->frame, S = m->S, history = 2 * m->samples.pairs;
    if (m->R) {
        for (int f = 0; f < F; f++) {
            uint8_t *features = g->features + f * m->R;
            float step = round_features(features, slot->conditioning + f * m->R, m->R);
            g->jobs[f] = (Job){g->widened + (size_t)f * S, g->zeros, features, step};
        }
        multiply(&m->widen, g->jobs, F);
    }
    sum_places(g->older, &m->samples, slot->past + m->P - history, F);
    memset(g->recent, 0, (history + F) * sizeof(int16_t));
    for (int f = 0; f < F; f++) {
        if (s->pitch_taps) first_layer(g, slot, f, 1);
        else first_layer(g, slot, f, 0);
        for (int k = 0; k <= s->hidden_layers; k++) { /* y = b + W ReLU(y), and the logits in the same way */
            int is_last = k == s->hidden_layers;
            const Table *next = is_last ? &m->output : &m->hidden[k];
            rectify(&g->active, g->y, S);
            g->positive[k] += g->active.count;
            multiply_rows(is_last ? g->logits : g->y, is_last ? m->output_bias : m->hidden_bias[k], next, &g->active);
        }
        int code = draw(g->logits, m->Q / LANES, s->codes, uniforms[f], slot->inverse_temperatures[slot->unit]);
        slot->code = code;
        slot->past[m->P + f] = g->recent[history + f] = (int16_t)(code - s->codes / 2);
        slot->previous[f] = m->rounded_codes[code];
        made[f] = (int16_t)code;
    }
    g->samples += F;
    memmove(slot->past, slot->past + F, m->P * sizeof(int16_t));
    memset(slot->past + m->P, 0, F * sizeof(int16_t));
}

/* ---- Durations -------------------------------------------------------------------------------------------------- */

enum { ADVANCED = 1, FORCED = 2 };

/* Implicit durations: whether the unit is over after this frame. Its hazard is softplus(logit) = -log(1 - P(over)), and
 * it ends when the summed hazard exceeds -log(1 - u): when the product of all 1 - P(over) falls below 1 - u. */
static int is_over(const Model *m, Slot *slot)
{
    int top = m->shape.n_rnn - 1;
    floats sums = 0.0f;
    for (int d = 0; d < m->D; d += LANES)
        sums += (__builtin_convertvector(READ(bytes16, slot->h[top] + d), floats) - STATE_ZERO) * STATE_STEP *
                load(m->advance + d);
    float logit = running(sums)[LANES - 1] + m->advance_bias[0];
    slot->survival /= 1.0 + (double)two_to(logit * LOG2_E)[0];
    return slot->survival < slot->threshold;
}

/* Begin a unit: its duration, or the threshold of its survival, 1 - u with u pulled towards 1/2. False if it is not
 * known how long it lasts. */
static int plan_unit(const Model *m, Slot *slot, int32_t duration, double u)
{
    slot->cut = duration < 0, slot->duration = duration < 0 ? -(int64_t)duration : duration;
    if (m->shape.explicit_durations) return duration != 0;
    double pulled = 0.5 + slot->spread * (u - 0.5);
    slot->threshold = 1.0 - (pulled < 1.0 - 0x1p-24 ? pulled : 1.0 - 0x1p-24);
    slot->survival = 1.0;
    return 1;
}

/* Go to the next frame, and the next unit; returns what happened. */
static uint8_t advance(const Model *m, Slot *slot)
{
    slot->since++, slot->frames++;
    int is_explicit = m->shape.explicit_durations;
    int over = is_explicit ? slot->since == slot->duration && !slot->cut : is_over(m, slot);
    if (!over && slot->since < (is_explicit ? slot->duration : slot->unit_cap)) return 0;
    slot->unit++, slot->since = 0;
    return over ? ADVANCED : ADVANCED | FORCED;
}

/* ---- What Python calls ------------------------------------------------------------------------------------------ */

/* Slots for so many utterances; NULL if shape and weights do not fit, or there is no memory. The weights stay the
 * caller's, and must stay. */
EXPORT void *NAME(group_new)(const Shape *shape, const void *weights, size_t size, int32_t count)
{
    Model model;
    Group nowhere;
    if (!shape || !weights || (uintptr_t)weights % 64 || !within(count, 1, 1 << 20)) return NULL;
    if (!open_model(&model, shape, weights, size)) return NULL;
    Arena counted = {NULL, padded(sizeof(Group), 64)};
    give_all(&counted, &nowhere, &model, count);
    uint8_t *memory = calloc(1, counted.at + 64);
    if (!memory) return NULL;
    Group *g = (Group *)(memory + 63 - ((uintptr_t)memory + 63) % 64);
    Arena arena = {(uint8_t *)g, padded(sizeof(Group), 64)};
    g->memory = memory, g->model = model, g->count = count;
    give_all(&arena, g, &model, count);
    for (int mask = 0; mask < 256; mask++)
        for (int k = 0, n = 0; k < 8; k++)
            if (mask >> k & 1) g->active.places[mask][n++] = (uint8_t)k;
    return g;
}

EXPORT void NAME(group_free)(void *group) { free(((Group *)group)->memory); }

/* Begin an utterance; `vectors` (units, unit_dim) and `inverse_temperatures` (units), of each unit's samples, must stay
 * until it ends. False if a number is out of range. */
EXPORT int32_t NAME(group_begin)(void *group, int32_t index, const float *vectors, int64_t units, int32_t speaker,
                                 int64_t frame_cap, int64_t unit_cap, const float *inverse_temperatures,
                                 double spread)
{
    Group *g = group;
    const Model *m = &g->model;
    const Shape *s = &m->shape;
    if (!within(index, 0, g->count - 1) || !vectors || units < 1 || !within(speaker, 0, s->n_speakers - 1)) return 0;
    if (frame_cap < 1 || unit_cap < 1 || !inverse_temperatures || !(spread >= 0.0 && spread <= 1.0)) return 0;
    for (int64_t k = 0; k < units; k++) if (!(inverse_temperatures[k] > 0.0f)) return 0;
    Slot *slot = &g->slots[index];
    slot->vectors = vectors, slot->units = units;
    slot->unit = slot->since = slot->frames = 0;
    slot->unit_cap = unit_cap, slot->frame_cap = frame_cap;
    slot->speaker = speaker, slot->inverse_temperatures = inverse_temperatures, slot->spread = spread;
    slot->code = s->codes / 2;
    memset(slot->past, 0, (m->P + s->frame) * sizeof(int16_t));
    memset(slot->previous, STATE_ZERO, s->frame);
    for (int k = 0; k < s->n_rnn; k++) {
        memcpy(slot->h[k], m->h0[k], m->D);
        memcpy(slot->c[k], m->c0[k], m->D * sizeof(float));
    }
    return 1;
}

/* Make up to `frames` frames of each utterance; `done` says how many. An utterance is over when its last unit is, or
 * at its cap.
 *
 * uniforms (slots, frames, F + 1): a frame's samples, and the duration of a unit that begins there.
 * durations (slots, frames + 1), explicit ones: frames of the unit at hand and of those that follow it, negative where
 *     the cap cut it; 0: not known, the utterance waits there.
 * codes (slots, frames, F); events (slots, frames): 1 where a unit ended after the frame, 3 where its cap did that. */
EXPORT void NAME(group_run)(void *group, int32_t frames, const float *uniforms, const int32_t *durations,
                            int16_t *codes, uint8_t *events, int32_t *done)
{
    Group *g = group;
    const Model *m = &g->model;
    const int F = m->shape.frame;
    memset(done, 0, g->count * sizeof *done);
    for (int k = 0; k < g->count; k++) g->slots[k].first = g->slots[k].unit;
    for (int row = 0; row < frames; row++) {
        int n = 0;
        for (int k = 0; k < g->count; k++) {
            Slot *slot = &g->slots[k];
            if (slot->unit >= slot->units || slot->frames >= slot->frame_cap || done[k] < row) continue;
            int64_t at = (int64_t)k * (frames + 1) + slot->unit - slot->first;
            double u = uniforms[((size_t)k * frames + row) * (F + 1) + F];
            if (slot->since || plan_unit(m, slot, durations ? durations[at] : 0, u)) g->live[n++] = slot;
        }
        if (n == 0) return;
        step_frames(g, g->live, n);
        for (int j = 0; j < n; j++) {
            ptrdiff_t k = g->live[j] - g->slots;
            size_t at = (size_t)k * frames + row;
            make_samples(g, g->live[j], uniforms + at * (F + 1), codes + at * F);
            events[at] = advance(m, g->live[j]);
            done[k]++;
        }
    }
}

/* (hidden_layers + 1) counts of units above 0, and the samples that they are summed over. */
EXPORT int64_t NAME(group_counts)(const void *group, int64_t *positive)
{
    const Group *g = group;
    memcpy(positive, g->positive, (g->model.shape.hidden_layers + 1) * sizeof *positive);
    return g->samples;
}

/* Multiply a matrix of `outputs` x 2 `pairs` zeros, all of `weights`, by n vectors of inputs, so often; to measure. */
EXPORT void NAME(measure)(const int8_t *weights, int32_t pairs, int32_t outputs, int32_t n, int32_t repeats, float *y)
{
    Job jobs[8];
    n = n < 8 ? n : 8;
    Table table = {pairs, outputs, y, (const int32_t *)y, weights};
    for (int j = 0; j < n; j++) jobs[j] = (Job){y, y, (const uint8_t *)weights, 0.0f};
    for (int k = 0; k < repeats; k++) multiply(&table, jobs, n);
}

#endif
